"""Entities of an assessment: the metrics of one detector on the rows of each, and one table of them."""

from collections.abc import Mapping
from itertools import pairwise

import pandas as pd

from tsad.data.dataset import DataSet
from tsad.data.split import Parts
from tsad.detector.detector import Detector
from tsad.detector.scoring import Scores
from tsad.evaluation.registry import HEADLINES
from tsad.evaluation.report import Report
from tsad.experiment import report

ENTITY_TABLE = "entities.csv"
"""Name of the table of all entities with their metrics."""

_SHARES = ("ratio/predicted", "ratio/true")


def entity_reports(detector: Detector, scores: Scores, parts: Parts, data: DataSet) -> dict[str, Report]:
    """Returns the report on the test rows of each entity; empty for data of a single one, or if an entity has no score.

    Args:
        detector: Detector whose scores and flags are judged.
        scores: Scores of all test rows.
        parts: Parts of the data.
        data: Data set with its entities.
    """
    edges = pairwise([*(entity.test for entity in data.entities), len(data.test)])
    return {
        entity.name: report(detector, scores, parts, slice(*rows))
        for entity, rows in zip(data.entities, edges, strict=True)
    }


def entity_metrics(reports: Mapping[str, Report]) -> pd.DataFrame:
    """Returns all metrics that any entity has, a row an entity; NaN where one is not defined."""
    table = pd.DataFrame.from_dict({name: dict(own.metrics) for name, own in reports.items()}, orient="index")
    return table.rename_axis("entity")


def entity_headlines(reports: Mapping[str, Report]) -> pd.DataFrame:
    """Returns the headline metrics and the shares of flagged and of anomalous rows, a row an entity, the mean last."""
    table = entity_metrics(reports)
    table = table[[name for name in (*HEADLINES, *_SHARES) if name in table]]
    table.loc["mean"] = table.mean()
    return table
