"""The report page: an assessment as one HTML file that a person reads from top to bottom."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tsad.assessment.assessment import RESAMPLES, SEED, Assessment
from tsad.evaluation.anomaly_types import AnomalyTypeScores
from tsad.evaluation.report import STRIDE, WINDOW


class Metric(NamedTuple):
    """A metric as the page shows it.

    Attributes:
        key: Its name in a report.
        heading: Of its column.
        group: What its column stands under.
        meaning: For people, with its source.
    """

    key: str
    heading: str
    group: str
    meaning: str


PR_AUC = "ranking/pr_auc"
RANKING, ORACLE, FLAGS = "order of the scores", "oracle", "flags"
"""What columns stand under."""

HEADLINE = (
    Metric(
        "ranking/vus_pr",
        "VUS-PR",
        RANKING,
        "Area under precision over recall where a flag up to 50 rows beside an event is partly right, mean over such buffers "
        "(Paparrizos et al., VLDB 2022).",
    ),
    Metric(
        PR_AUC,
        "PR-AUC",
        RANKING,
        "Average precision over all thresholds; chance is the share of anomalous rows (Davis & Goadrich, ICML 2006).",
    ),
    Metric(
        "ranking/roc_auc",
        "ROC-AUC",
        RANKING,
        "Chance that an anomalous row has a higher score than a normal one; rare anomalies make it look good (Fawcett 2006).",
    ),
    Metric(
        "oracle/best_f1",
        "best F1",
        ORACLE,
        "F1 of rows at the threshold that is best for it. Labels of these rows choose it, so nobody gets it in production.",
    ),
    Metric(
        "deployable/f1",
        "deployable F1",
        FLAGS,
        "F1 of rows at the detector's own threshold, which no label of these rows chose (van Rijsbergen 1979).",
    ),
    Metric(
        "event/f1",
        "event F1",
        FLAGS,
        "Precision by rows, recall by events, each found by any of its rows (Garg et al., TNNLS 2021).",
    ),
    Metric(
        "affiliation/f1",
        "affiliation F1",
        FLAGS,
        "How near flags and events are to each other; flags everywhere already get 2/3 (Huet et al., KDD 2022).",
    ),
    Metric(
        "pa_k/area",
        "PA%K area",
        FLAGS,
        "F1 where an event counts as found if more than K % of its rows are flagged, mean over K (Kim et al., AAAI 2022).",
    ),
    Metric(
        "point_adjusted/f1",
        "PA-F1",
        FLAGS,
        "F1 where one flag finds all rows of an event; random flags do well, so read it only beside those (Xu et al., WWW 2018).",
    ),
)
OPERATION = (
    Metric("point/precision", "precision", FLAGS, "Share of the flagged rows that are anomalous."),
    Metric("point/recall", "recall", FLAGS, "Share of the anomalous rows that are flagged."),
    Metric("operation/delay_rows", "delay", FLAGS, "Rows from the start of a found event to its first flag, median."),
    Metric("operation/false_alarms", "false alarms", FLAGS, "Flagged stretches that touch no anomaly."),
    Metric("operation/false_alarms_per_day", "false alarms per day", FLAGS, "The same per day of normal rows."),
)
WINDOWED = (
    Metric("window/pr_auc", "PR-AUC", RANKING, "Of windows."),
    Metric("window/roc_auc", "ROC-AUC", RANKING, "Of windows."),
    Metric("oracle/best_window_f1", "best F1", ORACLE, "Of windows."),
    Metric("window/f1", "F1", FLAGS, "Of windows at the detector's own threshold."),
)

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


class Table(NamedTuple):
    """Metrics side by side, and by the name of each detector its line; chance is the last one."""

    columns: list[Metric]
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
        headline=_table(assessment, HEADLINE),
        operation=_table(assessment, OPERATION),
        windowed=_table(assessment, WINDOWED),
        anomaly_types=_anomaly_types(assessment),
        pictures={name: (_data_uri(plots[name]), CAPTIONS.get(name, name)) for name in order},
        glossary=(*HEADLINE, *OPERATION),
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
    flags = f"{FLAGS} ({ORACLE})" if assessment.provenance.oracle else FLAGS
    columns = [
        metric._replace(group=flags if metric.group == FLAGS else metric.group)
        for metric in metrics
        if any(metric.key in report.metrics for report in reports.values())
        and (metric.key != "point_adjusted/f1" or beside_random)
    ]
    intervals = {} if certainty is None else {(name, PR_AUC): each for name, each in certainty.intervals.items()}
    lines = {
        name: [
            _cell(column.key, *intervals.get((name, column.key), (report.metrics.get(column.key),)))
            for column in columns
        ]
        for name, report in reports.items()
    }
    if certainty is not None:
        lines["chance"] = [_cell(column.key, *certainty.chance.get(column.key, ())) for column in columns]
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
