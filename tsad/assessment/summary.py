"""The summary of an assessment: a table of the detector above the baselines, and the conclusion."""

import numpy as np
import pandas as pd

from tsad.assessment.assessment import Assessment
from tsad.assessment.entities import ENTITY_TABLE, entity_headlines
from tsad.evaluation.registry import HEADLINES, column_name
from tsad.series import runs

_ALL_SHOWN = 40
"""Largest number of entities that are printed one by one."""


def show_comparison(name: str, assessment: Assessment) -> str:
    """Returns the detector's metrics above those of the baselines, and the chance level, on the same rows.

    Without labels no metric is defined, and the result says how many rows the detector flags.
    """
    if not assessment.report.metrics.keys() & set(HEADLINES):
        return _flagged(name, assessment) + _by_entity(assessment)
    reports = {name: assessment.report.metrics} | {
        baseline: report.metrics for baseline, report in assessment.baselines.items()
    }
    if assessment.certainty is not None:
        reports["chance"] = {metric: threshold.mean for metric, threshold in assessment.certainty.chance.items()}
    rows = [
        {"detector": detector} | {column_name(metric): values.get(metric) for metric in HEADLINES}
        for detector, values in reports.items()
    ]
    return show_table(pd.DataFrame(rows)) + _by_entity(assessment)


def conclusion(assessment: Assessment) -> str:
    """Returns sentences: whether the detector beats the best baseline, which were left out, and which labels were used."""
    return "\n".join(filter(None, [assessment.conclusion, assessment.left_out, assessment.provenance.sentence]))


def _flagged(name: str, assessment: Assessment) -> str:
    scored = int((~np.isnan(assessment.scores)).sum())
    if assessment.flags is None:
        return f"{name} scores {scored} rows."
    return f"{name} flags {int(assessment.flags.sum())} of {scored} rows, in {len(runs(assessment.flags))} segments."


def _by_entity(assessment: Assessment) -> str:
    """Returns a table of the entities to follow another one; nothing for a single entity."""
    reports = assessment.entities
    if not reports:
        return ""
    if len(reports) > _ALL_SHOWN:
        return f"\n\nThe metrics of each of {len(reports)} entities are in {ENTITY_TABLE}."
    return f"\n\n{show_table(entity_headlines(reports).rename(columns=column_name).reset_index())}"


def show_table(table: pd.DataFrame) -> str:
    """Returns a table as text: three decimals, a dash where there is no value."""
    return table.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.3f}")
