"""The registry of metrics: one entry for each, from which reports, tables, the gate, the HTML report and the docs follow.

To add a metric, write its function and add one line to `METRICS`. Entries are in the order in which tables show them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema

from tsad.evaluation import rows as of
from tsad.evaluation.rows import EvaluatedRows, Needs

Use = Literal["headline", "table", "operation", "windows", "gate", "objective"]
"""Uses of a metric: `headline` in every comparison of detectors; `table`, `operation` and `windows` in the tables of the
HTML report; `gate` in the comparison with the champion; `objective` as the labeled objective of a search."""

GROUP_OF_RANKINGS, GROUP_OF_ORACLES, GROUP_OF_FLAGS = "order of the scores", "oracle", "flags"
"""Headings above the columns of a table."""


@dataclass(frozen=True)
class Metric:
    """An entry of the registry.

    Attributes:
        name: Name in reports, in MLflow and in `metrics.json`, such as `ranking/vus_pr`.
        function: Function that computes the value from evaluated rows; None leaves the metric out of the report.
        heading: Heading of its column, and its name in prose.
        meaning: Meaning as one sentence for people.
        needs: What the rows must have for the metric to be defined.
        source: Publication that defines it, or an empty text for textbook counts and fractions.
        uses: Where it is used, besides the report.
        oracle: Whether labels of the evaluated rows chose its threshold, so that it cannot be reached in production.
        explained: Whether the report states a reason where these rows do not define it.
    """

    name: str
    function: Callable[[EvaluatedRows], float | None]
    heading: str
    meaning: str
    needs: Needs
    source: str = ""
    uses: tuple[Use, ...] = ()
    oracle: bool = False
    explained: bool = False

    @property
    def group(self) -> str:
        """Heading above its column in tables."""
        if self.oracle:
            return GROUP_OF_ORACLES
        return GROUP_OF_RANKINGS if self.needs in {"ranking", "window ranking"} else GROUP_OF_FLAGS

    @property
    def description(self) -> str:
        """Its meaning with its source in parentheses."""
        return f"{self.meaning.removesuffix('.')} ({self.source})." if self.source else self.meaning


_ranking = partial(Metric, needs="ranking", explained=True)
_oracle = partial(Metric, needs="ranking", oracle=True)
_flags = partial(Metric, needs="detection")

_HUET, _TATBUL, _GARG = "Huet et al., KDD 2022", "Tatbul et al., NeurIPS 2018", "Garg et al., TNNLS 2021"
_XU, _KIM, _VUS = "Xu et al., WWW 2018", "Kim et al., AAAI 2022", "Paparrizos et al., VLDB 2022"
_RIJSBERGEN, _DAVIS, _FAWCETT = "van Rijsbergen 1979", "Davis & Goadrich, ICML 2006", "Fawcett 2006"
_BOTH: tuple[Use, ...] = ("headline", "table", "gate")
_ALL: tuple[Use, ...] = (*_BOTH, "objective")

# fmt: off
METRICS: tuple[Metric, ...] = (
    _ranking("ranking/vus_pr", lambda rows: rows.volume.pr, "VUS-PR",
        "Area under the precision-recall curve where a flag up to 50 rows from an event is partly "
        "right, mean over such buffers.", source=_VUS, uses=_ALL),
    _ranking("ranking/pr_auc", of.pr_auc_of_rows, "PR-AUC",
        "Average precision over all thresholds; chance is the fraction of anomalous rows.", source=_DAVIS, uses=_ALL),
    _ranking("ranking/roc_auc", of.roc_auc_of_rows, "ROC-AUC",
        "Probability that an anomalous row has a higher score than a normal one; rare anomalies make it look good.",
        source=_FAWCETT, uses=_ALL),
    _ranking("ranking/vus_roc", lambda rows: rows.volume.roc, "VUS-ROC",
        "Area under the ROC curve where a flag up to 50 rows from an event is partly right; random "
        "scores get more than 0.5.", source=_VUS, uses=("gate",)),
    _oracle("oracle/best_f1", lambda rows: of.at_best(rows, "f1"), "best F1",
        "F1 of rows at the threshold that is best for it. Labels of these rows choose it, so it "
        "cannot be reached in production.", source=_RIJSBERGEN, uses=_ALL, explained=True),
    _flags("deployable/f1", lambda rows: rows.point[2], "deployable F1",
        "F1 of rows at the detector's own threshold, which no label of these rows chose.",
        needs="deployable", source=_RIJSBERGEN, uses=_BOTH, explained=True),
    _flags("event/f1", lambda rows: rows.event.f1, "event F1",
        "F1 of precision by rows and recall by events, each of which is detected by any of its rows.",
        source=_GARG, uses=_BOTH, explained=True),
    _flags("affiliation/f1", lambda rows: rows.affiliation.f1, "affiliation F1",
        "How near flags and events are to each other; flags everywhere already get 2/3.",
        source=_HUET, uses=_BOTH, explained=True),
    _flags("pa_k/area", of.pa_k, "PA%K area",
        "F1 where an event counts as detected if more than K % of its rows are flagged, mean over K.",
        source=_KIM, uses=("table",), explained=True),
    _flags("point_adjusted/f1", of.point_adjusted, "PA-F1",
        "F1 where one flag detects all rows of an event; random flags do well, so compare it with theirs only.",
        source=_XU, uses=("table",), explained=True),
    _flags("point/precision", lambda rows: rows.point[0], "precision",
        "Fraction of the flagged rows that are anomalous.", uses=("operation",)),
    _flags("point/recall", lambda rows: rows.point[1], "recall",
        "Fraction of the anomalous rows that are flagged.", uses=("operation",)),
    _flags("operation/delay_rows", of.median_delay, "delay",
        "Rows from the start of a detected event to its first flag, median.", uses=("operation",)),
    _flags("operation/false_alarms", lambda rows: float(rows.false_alarms), "false alarms",
        "Flagged segments that touch no anomaly.", needs="alarms", uses=("operation",)),
    _flags("operation/false_alarms_per_day", of.false_alarms_per_day, "false alarms per day",
        "Flagged segments that touch no anomaly, per day of normal rows.", needs="alarms", uses=("operation",)),
    _flags("point/f1", lambda rows: rows.point[2], "F1",
        "F1 of rows at the detector's own threshold, whoever's labels chose it.",
        source=_RIJSBERGEN, uses=("gate", "objective"), explained=True),
    _flags("event/precision", lambda rows: rows.event.precision, "event precision",
        "Fraction of the flagged rows that are anomalous.", source=_GARG),
    _flags("event/recall", lambda rows: rows.event.recall, "event recall",
        "Fraction of the events with a flagged row.", source=_GARG),
    _flags("affiliation/precision", lambda rows: rows.affiliation.precision, "affiliation precision",
        "How near to an event the flags are, compared with random ones.", source=_HUET),
    _flags("affiliation/recall", lambda rows: rows.affiliation.recall, "affiliation recall",
        "How near to a flag the events are, compared with random flags.", source=_HUET),
    _flags("range/precision", lambda rows: rows.range.precision, "range precision",
        "Overlap of flagged segments with events, with a price for touching several.", source=_TATBUL),
    _flags("range/recall", lambda rows: rows.range.recall, "range recall",
        "Overlap of events with flagged segments, with a price for several flags for one event.", source=_TATBUL),
    _flags("range/f1", lambda rows: rows.range.f1, "range F1",
        "F1 of range precision and range recall.", source=_TATBUL, uses=("gate",), explained=True),
    _oracle("oracle/best_precision", lambda rows: of.at_best(rows, "precision"), "precision at best F1",
        "Precision of rows at the threshold of the best F1."),
    _oracle("oracle/best_recall", lambda rows: of.at_best(rows, "recall"), "recall at best F1",
        "Recall of rows at the threshold of the best F1."),
    _oracle("oracle/best_threshold", lambda rows: of.at_best(rows, "thresholds"), "threshold of best F1",
        "Threshold value at which F1 of rows is highest."),
    _oracle("oracle/best_event_f1", of.best_event, "best event F1",
        "Highest event F1 of any threshold.", source=_GARG, explained=True),
    _oracle("oracle/best_affiliation_f1", of.best_affiliation, "best affiliation F1",
        "Highest affiliation F1 of any threshold.", source=_HUET, explained=True),
    _oracle("oracle/best_range_f1", of.best_range, "best range F1",
        "Highest range F1 of any threshold.", source=_TATBUL, explained=True),
    _oracle("oracle/best_point_adjusted_f1", of.best_point_adjusted, "best PA-F1",
        "Highest point-adjusted F1 of any threshold; random scores get 0.7 on SMD.", source=_XU, explained=True),
    Metric("window/pr_auc", of.window_pr_auc, "PR-AUC",
        "PR-AUC of windows instead of rows.", needs="window ranking", uses=("windows",), explained=True),
    Metric("window/roc_auc", of.window_roc_auc, "ROC-AUC",
        "ROC-AUC of windows instead of rows.", needs="window ranking", uses=("windows",)),
    Metric("oracle/best_window_f1", of.best_window, "best F1",
        "Highest F1 of windows of any threshold.", needs="window ranking", uses=("windows",), oracle=True),
    Metric("window/f1", of.window_f1, "F1",
        "F1 of windows at the detector's own threshold.", needs="window detection", uses=("windows",)),
    Metric("window/ratio", of.window_ratio, "anomalous windows",
        "Fraction of the windows that hold an anomalous row.", needs="windows"),
    Metric("ratio/true", of.true_ratio, "anomalous rows",
        "Fraction of the scored rows that are anomalous.", needs="labels"),
    Metric("ratio/predicted", of.predicted_ratio, "flagged rows",
        "Fraction of the scored rows that are flagged.", needs="flags"),
    Metric("rows/scored", lambda rows: float(len(rows.scores)), "scored rows",
        "Number of rows with a score.", needs="rows"),
    Metric("rows/unscored", lambda rows: float(rows.unscored), "unscored rows",
        "Number of rows without a score, which take no part in any metric.", needs="rows"),
)
"""Every metric that `evaluate` computes."""
# fmt: on


def used_as(use: Use) -> tuple[Metric, ...]:
    """Returns the metrics with this use, in the order of the registry."""
    return tuple(metric for metric in METRICS if use in metric.uses)


def names(use: Use) -> tuple[str, ...]:
    """Returns the names of the metrics with this use, in the order of the registry."""
    return tuple(metric.name for metric in used_as(use))


HEADLINES = names("headline")
"""Names of the metrics that every comparison shows, in this order."""


def column_name(metric: str) -> str:
    """Returns a metric's name as text tables show it: `ranking/...` without that prefix, others unchanged."""
    return metric.removeprefix("ranking/")


def metric_table() -> list[tuple[str, str, str, str]]:
    """Returns the rows of the docs table: name, heading, meaning with source, and "yes" for an oracle."""
    return [(metric.name, metric.heading, metric.description, "yes" if metric.oracle else "no") for metric in METRICS]


def _one_of(use: Use) -> tuple[AfterValidator, WithJsonSchema]:
    """Returns the check of a setting that names a metric with this use, and its JSON schema."""
    allowed = sorted(names(use), key=lambda name: name != "ranking/pr_auc")
    quoted = [repr(name) for name in allowed]

    def check(name: str) -> str:
        if name not in allowed:
            raise ValueError(f"input should be {', '.join(quoted[:-1])} or {quoted[-1]}, but got {name!r}")
        return name

    return AfterValidator(check), WithJsonSchema({"type": "string", "enum": allowed})


GateMetric = Annotated[str, *_one_of("gate")]
"""Name of a metric that the gate can compare."""

ObjectiveMetric = Annotated[str, *_one_of("objective")]
"""Name of a metric that a search can maximize on labeled selection rows."""
