"""Tables that people read: trials, and the winner beside the trivial panel."""

from collections.abc import Mapping, Sequence

import pandas as pd

from tsad.evaluation.report import Report
from tsad.spec import flatten
from tsad.trial import Trial

SHOWN = ("ranking/pr_auc", "ranking/roc_auc", "oracle/best_f1", "point/f1")
"""Metrics of the comparison, in this order."""


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
            **{name.rpartition("/")[2]: trial.metrics.get(name) for name in SHOWN},
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
    columns = ["trial", "state", "value", *(name.rpartition("/")[2] for name in SHOWN), "epochs", "seconds"]
    return _text(table[columns])


def show_comparison(winner: str, report: Report, panel: Mapping[str, Report]) -> str:
    """Returns the winner's metrics above those of the trivial detectors, and the chance level, on the same rows."""
    chance = {"ranking/pr_auc": report.metrics.get("ratio/true"), "ranking/roc_auc": 0.5}
    reports = {winner: report.metrics} | {name: trivial.metrics for name, trivial in panel.items()} | {"chance": chance}
    rows = [
        {"detector": name} | {metric.rpartition("/")[2]: values.get(metric) for metric in SHOWN}
        for name, values in reports.items()
    ]
    return _text(pd.DataFrame(rows))


def _text(table: pd.DataFrame) -> str:
    return table.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.3f}")
