"""The chance level: metrics of random scores on the same labels."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from tsad.arrays import Flags
from tsad.evaluation.report import evaluate


class Chance(NamedTuple):
    """Value of a metric for random scores.

    Attributes:
        mean: Mean over the draws.
        low: 2.5th percentile of the draws.
        high: 97.5th percentile of the draws.
    """

    mean: float
    low: float
    high: float


def chance(labels: Flags, flagged: float, generator: Generator, draws: int = 20) -> dict[str, Chance]:
    """Returns the chance level of every metric that any draw defines, by name, over the draws that define it.

    Each draw scores the rows independently and evenly, and flags a fixed fraction of them, so it has as many flags as the
    detector that it is compared with, at random rows. Known values that the draws agree with: ROC-AUC .5, PR-AUC the
    anomaly ratio, precision the anomaly ratio, recall the flagged fraction.

    Args:
        labels: (T,) with rows of both kinds.
        flagged: Fraction of rows that are flagged, from 0 to 1.
        generator: Generator of the draws.
        draws: Number of draws; the interval is that of a single draw.
    """
    reports = []
    for _ in range(draws):
        scores = generator.random(len(labels))
        reports.append(evaluate(scores, scores > 1 - flagged, labels).metrics)
    names = dict.fromkeys(name for metrics in reports for name in metrics if not name.startswith("rows/"))
    values = {name: [metrics[name] for metrics in reports if name in metrics] for name in names}
    return {
        name: Chance(float(np.mean(drawn)), *np.quantile(drawn, (0.025, 0.975)).tolist())
        for name, drawn in values.items()
    }
