"""Whether a search paid: its champion against the default detector, the median trial, the best baseline and chance."""

from collections.abc import Mapping, Sequence
from statistics import median

from tsad.assessment.assessment import Assessment
from tsad.selection.trial import DEFAULT, Trial

METRIC = "ranking/vus_pr"
"""Metric of the comparison where the reported rows are labeled."""


def payoff(trials: Sequence[Trial], assessment: Assessment, value: float | None) -> str:
    """Returns one line about what a search gained, and at what cost.

    Args:
        trials: Trials that ended.
        assessment: Assessment of the champion on the reported rows.
        value: Value of the champion by the maximized objective; None if it has none.
    """
    cost = f"{len(trials)} trials in {max((trial.elapsed for trial in trials), default=0.0):.0f} s"
    finished = [trial for trial in trials if trial.state == "finished"]
    champion = assessment.report.metrics.get(METRIC)
    if champion is None:
        figures = _figures(value, {trial.candidate.number: trial.value for trial in finished}, finished)
        return f"By the objective, which reads no test label: {figures}; {cost}."
    figures = _figures(champion, {trial.candidate.number: trial.metrics.get(METRIC) for trial in finished}, finished)
    baselines = {
        name: report.metrics[METRIC] for name, report in assessment.baselines.items() if METRIC in report.metrics
    }
    if baselines:
        best = max(baselines, key=lambda name: baselines[name])
        figures += f", the best baseline ({best}) {baselines[best]:.3f}"
    chance = None if assessment.certainty is None else assessment.certainty.chance.get(METRIC)
    below = chance is not None and champion <= chance.mean
    warning = " The champion is below chance: these rows show no sign that it detects anything." if below else ""
    return f"VUS-PR on the reported rows: {figures}; {cost}.{warning}"


def _figures(champion: float | None, values: Mapping[int, float | None], finished: Sequence[Trial]) -> str:
    """Returns the figures of the champion, the default and the median trial, those that there are."""
    default = next((values[trial.candidate.number] for trial in finished if trial.candidate.anchor == DEFAULT), None)
    defined = [value for value in values.values() if value is not None]
    named = {
        "the champion": champion,
        "the default detector": default,
        "the median trial": median(defined) if defined else None,
    }
    return ", ".join(f"{name} {value:.3f}" for name, value in named.items() if value is not None)
