"""The report page: an assessment as one HTML file that a person reads from top to bottom."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tsad.assessment.assessment import Assessment
from tsad.assessment.entities import entity_headlines
from tsad.evaluation.anomaly_types import AnomalyTypeScores
from tsad.evaluation.intervals import RESAMPLES, SEED
from tsad.evaluation.registry import GROUP_OF_FLAGS, GROUP_OF_ORACLES, METRICS, Metric, used_as
from tsad.evaluation.rows import STRIDE, WINDOW

PR_AUC = "ranking/pr_auc"

CAPTIONS = {
    "scores": "The score of every row, with the threshold and the labeled anomalies if there are labels.",
    "precision_recall": "Precision over recall at every threshold; thin lines are the best baselines.",
    "roc": "Recall over the fraction of normal rows that are flagged, at every threshold; thin lines are the best baselines.",
    "f1_vs_threshold": "Precision, recall and F1 at other thresholds. A threshold chosen from this picture is an oracle.",
    "score_distribution": "Distribution of the scores of normal and of anomalous rows.",
    "reconstruction": "Rows around the event with the highest score, and the predictions of the model.",
    "series": "The rows, their scores and flags.",
    "losses": "Losses over the epochs of training.",
}
"""Captions of the pictures, in their order; the picture `scores` has a section of its own."""


_HEADINGS = {metric.name: metric.heading for metric in METRICS}


class Cell(NamedTuple):
    """A number in a table, and the interval that stands below it."""

    value: str
    interval: str = ""


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: Name of its metric in a report.
        heading: Heading of the column.
        group: Heading above the columns of its group.
    """

    name: str
    heading: str
    group: str


class Table(NamedTuple):
    """Metrics side by side, and by the name of each detector its line; chance is the last one."""

    columns: list[Column]
    lines: dict[str, list[Cell]]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Heading over columns, and their number."""
        return [
            (group, len(list(columns))) for group, columns in groupby(self.columns, key=lambda column: column.group)
        ]


def page(assessment: Assessment, plots: Mapping[str, bytes], *, scheduled: bool = False) -> str:
    """Returns the page, one HTML text that loads nothing: styles are inside, and pictures are data URIs.

    Unknown things do not appear; a sentence in their position says why.

    Args:
        assessment: Assessment to show.
        plots: PNG files by name, those of `CAPTIONS` or others, which come last and are captioned by their names.
        scheduled: Whether the detector was trained in a population, as `schedule.json` describes.
    """
    undefined: dict[str, list[str]] = {}
    for name, reason in assessment.report.undefined.items():
        undefined.setdefault(reason, []).append(name)
    order = [*(name for name in CAPTIONS if name in plots), *(name for name in plots if name not in CAPTIONS)]
    return _TEMPLATES.get_template("html_report.html.jinja").render(
        assessment=assessment,
        scheduled=scheduled,
        metrics=assessment.report.metrics,
        conclusion=assessment.conclusion,
        headline=_table(assessment, used_as("table")),
        operation=_table(assessment, used_as("operation")),
        windowed=_table(assessment, used_as("windows")),
        anomaly_types=_anomaly_types(assessment),
        entities=entity_headlines(assessment.entities) if assessment.entities else None,
        headings=_HEADINGS,
        pictures={name: (_data_uri(plots[name]), CAPTIONS.get(name, name)) for name in order},
        glossary=(*used_as("table"), *used_as("operation")),
        undefined=undefined,
        window=(WINDOW, STRIDE),
        resampling=(RESAMPLES, SEED),
    )


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _table(assessment: Assessment, metrics: Iterable[Metric]) -> Table:
    """Returns what the detector or a baseline has: the detector first, the others by falling PR-AUC, chance last."""
    ranked = sorted(assessment.baselines.items(), key=lambda item: -item[1].metrics.get(PR_AUC, 0))
    reports = {"detector": assessment.report, **dict(ranked)}
    certainty = assessment.certainty
    has_random = certainty is not None or "random" in reports
    flags = f"{GROUP_OF_FLAGS} ({GROUP_OF_ORACLES})" if assessment.provenance.oracle else GROUP_OF_FLAGS
    columns = [
        Column(metric.name, metric.heading, flags if metric.group == GROUP_OF_FLAGS else metric.group)
        for metric in metrics
        if any(metric.name in report.metrics for report in reports.values())
        and (metric.name != "point_adjusted/f1" or has_random)
    ]
    intervals = (
        {} if certainty is None else {(name, PR_AUC): interval for name, interval in certainty.intervals.items()}
    )
    lines = {
        name: [
            _cell(column.name, *intervals.get((name, column.name), (report.metrics.get(column.name),)))
            for column in columns
        ]
        for name, report in reports.items()
    }
    if certainty is not None:
        lines["chance"] = [_cell(column.name, *certainty.chance.get(column.name, ())) for column in columns]
    return Table(columns, lines)


def _anomaly_types(assessment: Assessment) -> list[tuple[AnomalyTypeScores, str]]:
    """Returns what the detector gets on each anomaly type, and the baseline with the highest PR-AUC there."""
    own, others = assessment.anomaly_types.get("detector", ()), dict(assessment.anomaly_types)
    others.pop("detector", None)
    return [(scored, _best_baseline(scored.anomaly_type, others)) for scored in own]


def _best_baseline(name: str, baselines: Mapping[str, tuple[AnomalyTypeScores, ...]]) -> str:
    areas = {
        baseline: scored.pr_auc
        for baseline, results in baselines.items()
        for scored in results
        if scored.anomaly_type == name and scored.pr_auc is not None
    }
    best = max(areas, key=lambda baseline: areas[baseline], default=None)
    return "-" if best is None else f"{areas[best]:.3f} ({best})"


def _cell(key: str, value: float | None = None, low: float | None = None, high: float | None = None) -> Cell:
    if value is None:
        return Cell("-")
    form = ".4g" if key.startswith("operation/") else ".3f"
    return Cell(f"{value:{form}}", "" if low is None or high is None else f"[{low:{form}}, {high:{form}}]")


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"
