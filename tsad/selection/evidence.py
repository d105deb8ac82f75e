"""The champion by evidence: the default detector, or its average with the trial that labels show to be better.

Neither rule without labels that was tried beat the default on eight domains: not injected anomalies, not the error of
validation rows (`docs/results.md`). Labels did, and the more they are averaged with the default the
less they lost where they misled.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tsad.data.dataset import DataSet
from tsad.data.split import split
from tsad.provenance import LabelsUsed
from tsad.selection.trial import DEFAULT, EndedTrials, Trial
from tsad.series import runs

LEAST_EVENTS = 2
"""Labeled events from which on they count: the best by one event was worse than the default on average."""
WEIGHT_OF_EVENTS = 1 / 2
"""Weight of the best trial by labeled events; the default has the rest."""
WEIGHT_OF_SIBLINGS = 1 / 3
"""Weight of the best anchor by labeled siblings: of twenty series fewer than one lost .05 by it."""
METRIC = "ranking/vus_pr"
"""Metric of siblings."""

SiblingMetrics = Mapping[str, Mapping[str, float]]
"""Metric of each anchor by its name, of each sibling by the id of its search."""


@dataclass(frozen=True)
class Choice:
    """The choice of a champion among trials.

    Attributes:
        trials: Trials that the champion consists of: the default alone, or the default and the trial averaged with it.
        weights: Weight of each; they add up to 1.
        reason: Sentence that states the evidence.
        labels_used: Rows whose labels chose.
    """

    trials: tuple[Trial, ...]
    weights: tuple[float, ...]
    reason: str
    labels_used: LabelsUsed = "nothing"


def choose(ended: EndedTrials, data: DataSet, *, labeled: bool, siblings: SiblingMetrics) -> Choice | None:
    """Returns the choice by evidence; None if the default detector is not among the finished trials.

    Args:
        ended: Trials that have ended.
        data: Rows of the search.
        labeled: Whether the value of a trial is a metric of labeled selection rows.
        siblings: Metrics of the anchors of earlier searches on other rows with the same columns.
    """
    finished = [trial for trial, folder in ended if trial.state == "finished" and folder is not None]
    default = next((trial for trial in finished if trial.candidate.anchor == DEFAULT), None)
    if default is None:
        return None
    if labeled:
        return _by_events(finished, default, _events(default, data))
    if siblings:
        return _by_siblings(finished, default, siblings)
    reason = (
        "The champion is the default detector: there are no labels to show that a trial is better, and no objective without "
        "labels is a guide across data sets."
    )
    return Choice((default,), (1.0,), reason)


def _events(default: Trial, data: DataSet) -> int:
    """Returns the number of labeled events among the selection rows."""
    experiment = default.candidate.experiment
    selection = split(data, experiment.split, experiment.lookback + 1).selection
    if selection is None or data.test.labels is None:
        return 0
    return len(runs(np.asarray(data.test.labels[selection])))


def _by_events(finished: list[Trial], default: Trial, events: int) -> Choice:
    best = min(finished, key=lambda trial: trial.rank)
    if events < LEAST_EVENTS:
        number = "one labeled event is" if events == 1 else "there are no labeled events,"
        reason = f"The champion is the default detector: {number} no evidence for another; {LEAST_EVENTS} or more are."
        return Choice((default,), (1.0,), reason)
    if best is default or best.value is None or default.value is None or best.value <= default.value:
        reason = f"The champion is the default detector, the best of {len(finished)} by {events} labeled events."
        return Choice((default,), (1.0,), reason, "selection")
    reason = (
        f"The champion is the average of the default detector and {best.candidate.name}, the best by {events} labeled events "
        f"of the selection rows ({best.value:.3f} against {default.value:.3f})."
    )
    return Choice((default, best), (1 - WEIGHT_OF_EVENTS, WEIGHT_OF_EVENTS), reason, "selection")


def _by_siblings(finished: list[Trial], default: Trial, siblings: SiblingMetrics) -> Choice:
    anchors = [trial for trial in finished if trial.candidate.anchor not in ("", DEFAULT)]
    gains = [(gain, trial) for trial in anchors if (gain := _advantage(trial.candidate.anchor, siblings)) is not None]
    gain, best = max(gains, key=lambda pair: pair[0], default=(0.0, default))
    number = f"{len(siblings)} labeled sibling{'s' if len(siblings) > 1 else ''}"
    if gain <= 0:
        reason = f"The champion is the default detector: no anchor beat it on {number} (other rows, same columns)."
        return Choice((default,), (1.0,), reason, "sibling")
    reason = (
        f"The champion is the average of the default detector and the anchor {best.candidate.anchor}, which had "
        f"{gain:+.3f} VUS-PR on {number} (other rows, same columns); it "
        f"has a weight of {WEIGHT_OF_SIBLINGS:.2f}."
    )
    return Choice((default, best), (1 - WEIGHT_OF_SIBLINGS, WEIGHT_OF_SIBLINGS), reason, "sibling")


def _advantage(anchor: str, siblings: SiblingMetrics) -> float | None:
    """Returns the mean metric of an anchor minus that of the default over the siblings that have both; None without any."""
    gains = [
        metrics[anchor] - metrics[DEFAULT] for metrics in siblings.values() if anchor in metrics and DEFAULT in metrics
    ]
    return float(np.mean(gains)) if gains else None
