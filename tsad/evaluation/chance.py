"""The chance level: what scores without any knowledge get on these very labels."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from tsad.arrays import Flags
from tsad.evaluation.report import evaluate


class Chance(NamedTuple):
    """What random scores get in one metric.

    Attributes:
        mean: Over the draws.
        low: The 2.5th percentile of the draws.
        high: The 97.5th.
    """

    mean: float
    low: float
    high: float


def chance(labels: Flags, flagged: float, generator: Generator, draws: int = 20) -> dict[str, Chance]:
    """Returns the chance level of every metric that any draw defines, by name, over the draws that define it.

    Each draw scores the rows independently and evenly, and flags the given share of them, so it has as many alarms as the
    detector beside which it stands but no idea where. Known values that the draws agree with: ROC-AUC .5, PR-AUC the
    anomaly ratio, precision the anomaly ratio, recall the flagged share.

    Args:
        labels: (T,) with rows of both kinds.
        flagged: Share of rows that are flagged, from 0 to 1.
        generator: Of the draws.
        draws: How many; the interval of one draw is read off them.
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
