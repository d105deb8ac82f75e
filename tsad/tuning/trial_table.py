"""The table of the trials of a search, for people."""

from collections.abc import Sequence

import pandas as pd

from tsad.assessment.summary import show_table
from tsad.evaluation.registry import HEADLINES, column_name
from tsad.selection.trial import Trial
from tsad.spec import flatten


def trial_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """Returns one row per trial, best first: state, value, headline metrics, cost, and every setting in which trials differ."""
    ordered = sorted(trials, key=lambda trial: trial.rank)
    settings = [flatten(trial.candidate.experiment_values) for trial in ordered]
    paths = list(dict.fromkeys(path for values in settings for path in values))
    differing = [path for path in paths if len({str(values.get(path)) for values in settings}) > 1]
    rows = [
        {
            "trial": trial.candidate.name,
            "state": trial.state,
            "value": trial.value,
            **{column_name(name): trial.metrics.get(name) for name in HEADLINES},
            "epochs": trial.epochs,
            "seconds": round(trial.seconds, 1),
            **{path: values.get(path) for path in differing if path != "model.kind"},
            "reason": trial.reason,
        }
        for trial, values in zip(ordered, settings, strict=True)
    ]
    return pd.DataFrame(rows)


def show_trials(table: pd.DataFrame) -> str:
    """Returns the columns of `trial_table` that fit a terminal, metrics only where a trial has them."""
    metrics = [column_name(name) for name in HEADLINES if table[column_name(name)].notna().any()]
    return show_table(table[["trial", "state", "value", *metrics, "epochs", "seconds"]])
