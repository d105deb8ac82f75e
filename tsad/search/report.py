"""Tables that people read: trials, and the winner beside the trivial panel."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tsad.assessment import Assessment
from tsad.results import HEADLINES, column_name
from tsad.series import runs
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
            **{column_name(name): trial.metrics.get(name) for name in HEADLINES},
            "epochs": trial.epochs,
            "seconds": round(trial.seconds, 1),
            **{path: values.get(path) for path in differing if path != "model.kind"},
            "reason": trial.reason,
        }
        for trial, values in zip(ordered, resolved, strict=True)
    ]
    return pd.DataFrame(rows)


def show_trials(table: pd.DataFrame) -> str:
    """Returns the columns of `trial_table` that fit a terminal, metrics only where a trial has them."""
    metrics = [column_name(name) for name in HEADLINES if table[column_name(name)].notna().any()]
    return _text(table[["trial", "state", "value", *metrics, "epochs", "seconds"]])


def show_comparison(name: str, assessment: Assessment) -> str:
    """Returns the detector's metrics above those of the trivial detectors, and the chance level, on the same rows.

    Of rows without labels, which have no metric, it says how many the detector flags.
    """
    if not assessment.report.metrics.keys() & set(HEADLINES):
        return _flagged(name, assessment)
    reports = {name: assessment.report.metrics} | {each: found.metrics for each, found in assessment.panel.items()}
    if assessment.certainty is not None:
        reports["chance"] = {metric: level.mean for metric, level in assessment.certainty.chance.items()}
    rows = [
        {"detector": each} | {column_name(metric): values.get(metric) for metric in HEADLINES}
        for each, values in reports.items()
    ]
    return _text(pd.DataFrame(rows))


def show_verdict(assessment: Assessment) -> str:
    """Returns a sentence that says whether the detector is worth more than the best trivial one, and which labels chose."""
    verdict = "Without labelled anomalies in the reported rows, nobody can say whether it beats a trivial detector."
    if assessment.certainty is not None and assessment.certainty.gain is not None:
        verdict = assessment.certainty.gain.sentence
    return f"{verdict}\n{assessment.provenance.sentence}"


def _flagged(name: str, assessment: Assessment) -> str:
    scored = int((~np.isnan(assessment.scores)).sum())
    if assessment.flags is None:
        return f"{name} scores {scored} rows."
    return f"{name} flags {int(assessment.flags.sum())} of {scored} rows, in {len(runs(assessment.flags))} stretches."


def _text(table: pd.DataFrame) -> str:
    return table.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.3f}")
