"""Tables that people read: trials, and the winner beside the trivial panel."""

from collections.abc import Mapping, Sequence

import pandas as pd

from tsad.evaluation.report import Report
from tsad.results import HEADLINES
from tsad.spec import flatten
from tsad.trial import Trial


def trial_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """Returns one row per trial, best first: how it ended, what it is worth, and every value in which trials differ."""
    ordered = sorted(trials, key=lambda trial: trial.rank)
    resolved = [flatten(trial.candidate.experiment) for trial in ordered]
    paths = list(dict.fromkeys(path for values in resolved for path in values))
    differing = [path for path in paths if len({str(values.get(path)) for values in resolved}) > 1]
    rows = [
        {
            "trial": trial.candidate.name,
            "state": trial.state,
            "value": trial.value,
            **{name.rpartition("/")[2]: trial.metrics.get(name) for name in HEADLINES},
            "epochs": trial.epochs,
            "seconds": round(trial.seconds, 1),
            **{path: values.get(path) for path in differing if path != "model.kind"},
            "reason": trial.reason,
        }
        for trial, values in zip(ordered, resolved, strict=True)
    ]
    return pd.DataFrame(rows)


def show_trials(table: pd.DataFrame) -> str:
    """Returns the columns of `trial_table` that fit a terminal."""
    columns = ["trial", "state", "value", *(name.rpartition("/")[2] for name in HEADLINES), "epochs", "seconds"]
    return _text(table[columns])


def show_comparison(winner: str, report: Report, panel: Mapping[str, Report]) -> str:
    """Returns the winner's metrics above those of the trivial detectors, and the chance level, on the same rows."""
    chance = {"ranking/pr_auc": report.metrics.get("ratio/true"), "ranking/roc_auc": 0.5}
    reports = {winner: report.metrics} | {name: trivial.metrics for name, trivial in panel.items()} | {"chance": chance}
    rows = [
        {"detector": name} | {metric.rpartition("/")[2]: values.get(metric) for metric in HEADLINES}
        for name, values in reports.items()
    ]
    return _text(pd.DataFrame(rows))


def show_verdict(winner: Report, panel: Mapping[str, Report]) -> str:
    """Returns a sentence that says whether the winner is worth more than the best trivial detector."""
    metric = "ranking/pr_auc"
    rivals = {name: trivial.metrics[metric] for name, trivial in panel.items() if metric in trivial.metrics}
    if metric not in winner.metrics or not rivals:
        return "Without labelled anomalies in the reported rows, nobody can say whether it beats a trivial detector."
    best = max(rivals, key=lambda name: rivals[name])
    value, beats = winner.metrics[metric], "beats" if winner.metrics[metric] > rivals[best] else "does not beat"
    return f"In PR-AUC the champion ({value:.3f}) {beats} the best trivial detector ({best}, {rivals[best]:.3f})."


def _text(table: pd.DataFrame) -> str:
    return table.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.3f}")
