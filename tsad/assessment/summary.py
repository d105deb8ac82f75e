"""What people read of an assessment first: the detector above the baselines, and what follows."""

import numpy as np
import pandas as pd

from tsad.assessment.assessment import Assessment
from tsad.evaluation.registry import HEADLINES, column_name
from tsad.series import runs


def show_comparison(name: str, assessment: Assessment) -> str:
    """Returns the detector's metrics above those of the baselines, and the chance level, on the same rows.

    Of rows without labels, which have no metric, it says how many the detector flags.
    """
    if not assessment.report.metrics.keys() & set(HEADLINES):
        return _flagged(name, assessment)
    reports = {name: assessment.report.metrics} | {each: found.metrics for each, found in assessment.baselines.items()}
    if assessment.certainty is not None:
        reports["chance"] = {metric: threshold.mean for metric, threshold in assessment.certainty.chance.items()}
    rows = [
        {"detector": each} | {column_name(metric): values.get(metric) for metric in HEADLINES}
        for each, values in reports.items()
    ]
    return show_table(pd.DataFrame(rows))


def conclusion(assessment: Assessment) -> str:
    """Returns a sentence that says whether the detector is worth more than the best baseline, and which labels chose."""
    conclusion_text = "Without labeled anomalies in the reported rows, nobody can say whether it beats a baseline."
    if assessment.certainty is not None and assessment.certainty.gain is not None:
        conclusion_text = assessment.certainty.gain.sentence
    return f"{conclusion_text}\n{assessment.provenance.sentence}"


def _flagged(name: str, assessment: Assessment) -> str:
    scored = int((~np.isnan(assessment.scores)).sum())
    if assessment.flags is None:
        return f"{name} scores {scored} rows."
    return f"{name} flags {int(assessment.flags.sum())} of {scored} rows, in {len(runs(assessment.flags))} stretches."


def show_table(table: pd.DataFrame) -> str:
    """Returns a table as text: three decimals, a dash where there is no value."""
    return table.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.3f}")
