"""Reading of a file: from its text to rows in order, without empty cells; the same for training, evaluation and scoring."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from tsad.arrays import Integers, Times
from tsad.data.five_features import FIVE, five_features
from tsad.data.io.answers import label_fix, text_of
from tsad.data.io.columns import Roles, judge_columns
from tsad.data.io.empty_cells import EmptyCellOptions, fill_empty_cells
from tsad.data.io.entity_columns import Keys, judge_entities
from tsad.data.io.issues import Issues
from tsad.data.io.regular import FileRows, OrderOptions, joined, order_rows
from tsad.data.io.sentinels import SentinelOptions, judge_sentinels
from tsad.data.io.states import StateOptions, state_columns, with_states
from tsad.data.io.tables import read_columns
from tsad.data.io.text import TextOptions
from tsad.data.io.time_options import TimeOptions
from tsad.data.io.time_parts import time_cells
from tsad.data.io.times import read_times
from tsad.data.io.values import read_labels, read_values
from tsad.errors import shown
from tsad.series import Series
from tsad.spec import Spec, Texts


class PivotSpec(Spec):
    """Columns of a long table, which has a row for each metric and time, and becomes a column for each metric.

    Attributes:
        name: Name of the column that names the metric.
        value: Name of the column of its values.
    """

    name: str
    value: str


class ColumnOptions(StateOptions):
    """The roles of the columns of a file.

    Attributes:
        features: Columns to use, in this order; if null, all columns that have no other role.
        ignore: Columns that are not used, such as texts, which are never turned into numbers.
        label: Name of the column of labels: 0 or false is normal, 1 or true anomalous; null for unlabeled rows.
        normal: Text of the label column in normal rows, such as `BENIGN`; every other text is an anomaly. If null, labels are
            0 and 1.
        entity: Name of the column that says which machine a row belongs to; null for the rows of one machine. Rows of an
            entity are ordered, cut and windowed by themselves.
        pivot: Columns of a long table, to be made wide; null for a wide table.
        univariate: Treatment of a single feature: `as_is`, or the `five_features` base, trend, seasonality, momentum and
            volatility of `tsad.data.five_features`.
        period: Rows of a season, for the five features, at least 2.
    """

    features: Annotated[Texts, Field(min_length=1)] | None = None
    ignore: Texts = ()
    label: str | None = None
    normal: str | None = None
    entity: str | None = None
    pivot: PivotSpec | None = None
    univariate: Literal["as_is", "five_features"] = "as_is"
    period: int = Field(24, ge=2)


class ReadingSpec(EmptyCellOptions, SentinelOptions, OrderOptions, TimeOptions, ColumnOptions, TextOptions):
    """Everything that decides how the rows of a file are read.

    Rows are repaired only as the settings say. Repairs run in this order: lines, cells, times, pivot, rows of stray times,
    sorting, rows of equal time, resampling, gaps, empty cells.
    """

    @model_validator(mode="after")
    def _pivot_by_time(self) -> "ReadingSpec":
        if self.pivot is not None and self.time is None:
            raise ValueError(
                "pivot puts rows of equal time side by side, but no column of times is named; set data.time"
            )
        return self

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the columns that have a role of their own."""
        names = (*self.time_columns, self.label, self.entity, *((self.pivot.name,) if self.pivot else ()))
        return tuple(name for name in names if name is not None)


def read_file(
    path: Path, spec: ReadingSpec, issues: Issues, step: float | None = None, *, label_optional: bool = False
) -> tuple[FileRows, tuple[str, ...]]:
    """Returns the rows of a file and the names of their features.

    Args:
        path: Path of the file.
        spec: How it is read.
        issues: Receives issues and repairs; after an issue the rows are only good for finding more issues.
        step: Usual seconds from row to row, that gaps are measured by; None takes the median of the rows.
        label_optional: Whether the column of labels may be absent; the rows are then unlabeled.

    Raises:
        FatalIssueError: if nothing remains that could be examined.
    """
    table = read_columns(path, spec, issues)
    present = _without_blank_rows(table, issues)
    if not len(present):
        issues.fail("has no rows below its first line", advice="give a file with rows")
    positions = np.full(len(table), -1)
    positions[table.index.get_indexer(present.index)] = np.arange(len(present))
    if label_optional and spec.label not in table.columns:
        spec = spec.model_copy(update={"label": None, "normal": None})
    return read_frame(present, spec, issues, step, positions)


def read_frame(
    table: pd.DataFrame, spec: ReadingSpec, issues: Issues, step: float | None = None, positions: Integers | None = None
) -> tuple[FileRows, tuple[str, ...]]:
    """Returns the rows of a table and the names of their features; arguments as for `read_file`.

    Args:
        table: Columns as `read_columns` returns them.
        spec: How the rows are read.
        issues: Receives issues and repairs.
        step: Usual seconds from row to row.
        positions: (N,) row of the table that each row of its file is, -1 for none; None if they are the same.
    """
    table = with_states(table, spec, issues, spec.features or ())
    _check_columns(table, spec, issues)
    times = (
        None if spec.time is None else read_times(time_cells(table, spec.time_columns, spec.time_format), spec, issues)
    )
    labels = None if spec.label is None else read_labels(table[spec.label], spec.normal, issues, label_fix)
    entities = None if spec.entity is None else table[spec.entity]
    if spec.pivot is not None:
        if times is None:
            issues.raise_last()
        groups, table = _pivoted(table, spec, spec.pivot, times, issues)
        first = np.unique(groups, return_index=True)[1]
        times, entities = times[first], None if entities is None else entities.iloc[first]
        labels = None if labels is None else np.bincount(groups, weights=labels) > 0
        positions = groups if positions is None else np.where(positions >= 0, groups[np.maximum(positions, 0)], -1)
    features = _features(table, spec, times, issues)
    cells = read_values(table, features, spec.empty, issues)
    if spec.sentinels == "ask":
        judge_sentinels(cells, features, table.index.to_numpy(), issues)
    rows = FileRows(cells, table.index.to_numpy(), labels, times, positions=positions)
    ordered = (
        order_rows(rows, spec, issues, step)
        if entities is None
        else _ordered_by_entity(rows, entities, spec, issues, step)
    )
    return fill_empty_cells(ordered, features, spec, issues)


def _without_blank_rows(table: pd.DataFrame, issues: Issues) -> pd.DataFrame:
    """Returns the rows that have a cell; a single column may be empty, which `missing` decides about."""
    blank = table.isna().all(axis=1).to_numpy() if table.shape[1] > 1 else np.zeros(len(table), bool)
    if blank.any():
        first = table.index[int(blank.argmax())]
        issues.add_repair(f"{int(blank.sum())} rows without any cell were left out, first row {first}")
    return table.loc[~blank]


def _check_columns(table: pd.DataFrame, spec: ReadingSpec, issues: Issues) -> None:
    named = [*spec.roles, *spec.ignore]
    shared = set(named) & set(spec.features or ())
    if shared:
        issues.fail(
            f"time, label, entity and ignored columns must not be features, but {sorted(shared)} are both",
            advice="leave them out of one of them",
        )
    values = () if spec.pivot is None else (spec.pivot.value,)
    features = () if spec.features is None or spec.pivot is not None else spec.features
    absent = [name for name in (*features, *named, *values) if name not in table.columns]
    if absent:
        several = "; several are written as a list, [a, b]" * ("," in absent[0])
        columns = shown(list(table.columns), 400)
        issues.fail(f"has no column {absent[0]!r}; it has {columns}", advice=f"name one of them{several}")


def _features(table: pd.DataFrame, spec: ReadingSpec, times: Times | None, issues: Issues) -> tuple[str, ...]:
    if spec.features is not None:
        absent = [name for name in spec.features if name not in table.columns]
        if absent:
            issues.fail(
                f"has no column {absent[0]!r}; it has {shown(list(table.columns), 400)}", advice="name one of them"
            )
        return spec.features
    named = {*spec.roles, *spec.ignore}
    features = tuple(name for name in table.columns if name not in named)
    if not features:
        issues.fail(
            "must have a column besides time, label and ignored ones, but has none", advice="name fewer of them"
        )
    if spec.pivot is not None:
        return features
    judged = judge_columns(table, Roles(features, spec.time_columns, spec.label), issues)
    strange = {*judged.times, *judged.others}
    if times is not None or not judged.times:  # else the times will show which rows are of one moment
        moments = None if times is None else pd.Series(times, table.index)
        usual = [name for name in features if name not in strange]
        judge_entities(table, Keys(moments, spec.entity), usual, issues, [name for name in features if name in strange])
    return tuple(name for name in features if name not in strange) or features


def _ordered_by_entity(
    rows: FileRows, column: "pd.Series[Any]", spec: ReadingSpec, issues: Issues, step: float | None
) -> FileRows:
    """Returns the rows of one entity after the other, each ordered by itself."""
    if column.isna().any():
        row = column.index[int(column.isna().to_numpy().argmax())]
        issues.fail(f"entity column {column.name!r} is empty in row {row}", advice="name the entity of each row")
    codes, values = pd.factorize(column)
    parts, reports = [], []
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    for value, indices in zip(values, members, strict=True):
        own = issues.like()
        parts.append((text_of(value), indices, order_rows(rows.part(indices), spec, own, step)))
        reports.append(own)
    issues.merge(reports)
    return joined(rows, parts)


def _pivoted(
    table: pd.DataFrame, spec: ReadingSpec, pivot: PivotSpec, times: Times, issues: Issues
) -> tuple[Integers, pd.DataFrame]:
    """Returns the wide row that each long row goes into, and the wide table, whose columns are the metrics."""
    key = pd.DataFrame({"time": times})
    if spec.entity is not None:
        key["entity"] = table[spec.entity].to_numpy()
    groups = key.groupby(list(key.columns), sort=False).ngroup().to_numpy()
    names = table[pivot.name].map(text_of, na_action="ignore").to_numpy()
    again = int(pd.DataFrame({"group": groups, "name": names}).duplicated().sum())
    if again and spec.duplicates in {"error", "keep"}:
        issues.add(
            f"{again} rows have the time and the {pivot.name!r} of another row",
            advice="data.duplicates=first, last or mean says which of them counts",
        )
    values = read_values(table, [pivot.value], spec.empty, issues)[:, 0]
    how = spec.duplicates if spec.duplicates in {"first", "last", "mean"} else "first"
    long = pd.DataFrame({"group": groups, "name": names, "value": values}).dropna(subset=["name"])
    wide = long.pivot_table(index="group", columns="name", values="value", aggfunc=how, sort=False, dropna=False)
    wide = wide.reindex(range(int(groups.max()) + 1))[list(long["name"].unique())]
    first = np.unique(groups, return_index=True)[1]
    return np.asarray(groups), wide.set_axis(table.index[first]).set_axis(wide.columns.astype(str), axis=1)


def to_series(rows: FileRows, features: tuple[str, ...], spec: ReadingSpec) -> Series:
    """Returns rows as a series; of a single feature the five that `univariate` asks for."""
    values, names = rows.cells, features
    if spec.univariate == "five_features" and len(features) == 1:
        values, names = five_features(values[:, 0], spec.period, rows.boundaries), FIVE
    return Series(values, names, rows.labels, rows.boundaries, rows.times)


def feature_sources(features: Sequence[str], spec: ReadingSpec) -> list[str]:
    """Returns the columns of a file that features are computed from, each once."""
    return list(dict.fromkeys(state_columns(features, spec.states)))
