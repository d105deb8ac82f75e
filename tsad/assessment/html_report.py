"""The report page: an assessment as one HTML file that a person reads from top to bottom."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tsad.assessment.assessment import RESAMPLES, SEED, Assessment
from tsad.evaluation.anomaly_types import AnomalyTypeScores
from tsad.evaluation.registry import GROUP_OF_FLAGS, GROUP_OF_ORACLES, Metric, used_as
from tsad.evaluation.rows import STRIDE, WINDOW

PR_AUC = "ranking/pr_auc"

CAPTIONS = {
    "scores": "The score of every row, with the threshold and the labeled anomalies where they are known.",
    "precision_recall": "Precision over recall at every threshold; the best baselines are thin.",
    "roc": "Recall over the share of normal rows that are flagged, at every threshold; the best baselines are thin.",
    "f1_vs_threshold": "What precision, recall and F1 would be at other thresholds. To read the threshold off here is an oracle.",
    "score_distribution": "How the scores of normal and of anomalous rows are spread.",
    "reconstruction": "Rows around the event with the highest score, and what the model predicts of them.",
    "series": "The rows, their scores and flags.",
    "losses": "Losses over the epochs of training.",
}
"""Of the pictures, in their order; `scores` has a place of its own."""


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
        """What columns stand under, and how many."""
        return [
            (group, len(list(columns))) for group, columns in groupby(self.columns, key=lambda column: column.group)
        ]


def page(assessment: Assessment, plots: Mapping[str, bytes], *, scheduled: bool = False) -> str:
    """Returns the page, one HTML text that loads nothing: styles are inside, and pictures are data URIs.

    What is not known does not appear; where a reader would look for it, a sentence says why.

    Args:
        assessment: To be told.
        plots: PNG files by name, those of `CAPTIONS` or others, which come last and are captioned by their names.
        scheduled: Whether a `schedule.json` tells how it was trained, so that `experiment.yaml` alone does not.
    """
    undefined: dict[str, list[str]] = {}
    for name, reason in assessment.report.undefined.items():
        undefined.setdefault(reason, []).append(name)
    order = [*(name for name in CAPTIONS if name in plots), *(name for name in plots if name not in CAPTIONS)]
    return _TEMPLATES.get_template("html_report.html.jinja").render(
        assessment=assessment,
        scheduled=scheduled,
        metrics=assessment.report.metrics,
        conclusion=_conclusion(assessment),
        headline=_table(assessment, used_as("table")),
        operation=_table(assessment, used_as("operation")),
        windowed=_table(assessment, used_as("windows")),
        anomaly_types=_anomaly_types(assessment),
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


def _conclusion(assessment: Assessment) -> str:
    if assessment.certainty is None:
        reason = assessment.report.undefined.get(PR_AUC, "no ranking of these rows is defined")
        return f"Nothing says how good these scores are: {reason}."
    if not assessment.baselines:
        return "No baseline was run on these rows, so nothing says whether the scores are worth more than one."
    if assessment.certainty.gain is None:
        return "The detector and the baselines share no scored rows of both kinds, so nothing says which is worth more."
    return assessment.certainty.gain.sentence


def _table(assessment: Assessment, metrics: Iterable[Metric]) -> Table:
    """Returns what the detector or a baseline has: the detector first, the others by falling PR-AUC, chance last."""
    ranked = sorted(assessment.baselines.items(), key=lambda item: -item[1].metrics.get(PR_AUC, 0))
    reports = {"detector": assessment.report, **dict(ranked)}
    certainty = assessment.certainty
    beside_random = certainty is not None or "random" in reports
    flags = f"{GROUP_OF_FLAGS} ({GROUP_OF_ORACLES})" if assessment.provenance.oracle else GROUP_OF_FLAGS
    columns = [
        Column(metric.name, metric.heading, flags if metric.group == GROUP_OF_FLAGS else metric.group)
        for metric in metrics
        if any(metric.name in report.metrics for report in reports.values())
        and (metric.name != "point_adjusted/f1" or beside_random)
    ]
    intervals = {} if certainty is None else {(name, PR_AUC): each for name, each in certainty.intervals.items()}
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
    """Returns what the detector is worth on each anomaly type, and the baseline with the highest PR-AUC there."""
    own, others = assessment.anomaly_types.get("detector", ()), dict(assessment.anomaly_types)
    others.pop("detector", None)
    return [(scored, _rival(scored.anomaly_type, others)) for scored in own]


def _rival(name: str, baselines: Mapping[str, tuple[AnomalyTypeScores, ...]]) -> str:
    found = {
        rival: scored.pr_auc
        for rival, results in baselines.items()
        for scored in results
        if scored.anomaly_type == name and scored.pr_auc is not None
    }
    best = max(found, key=lambda rival: found[rival], default=None)
    return "-" if best is None else f"{found[best]:.3f} ({best})"


def _cell(key: str, value: float | None = None, low: float | None = None, high: float | None = None) -> Cell:
    if value is None:
        return Cell("-")
    form = ".4g" if key.startswith("operation/") else ".3f"
    return Cell(f"{value:{form}}", "" if low is None or high is None else f"[{low:{form}}, {high:{form}}]")


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"
