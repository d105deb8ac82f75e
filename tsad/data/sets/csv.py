"""CSV and Parquet files of the user."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from tsad.data.dataset import DataSet
from tsad.data.five_features import FIVE, five_features
from tsad.data.io.cells import numbers
from tsad.data.io.empty_cells import EmptyCellOptions, fill_empty_cells
from tsad.data.io.issues import FatalIssueError, Issue, Issues
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.regular import FileRows, OrderOptions, order_rows, step_seconds
from tsad.data.io.tables import read_columns
from tsad.data.io.text import TextOptions
from tsad.data.io.times import TimeOptions, read_times
from tsad.data.io.values import read_labels, read_values
from tsad.data.precision import narrowed
from tsad.errors import DataError, shown
from tsad.series import Series
from tsad.spec import Spec

_logger = logging.getLogger(__name__)

_LABEL_NAMES = {
    *("label", "labels", "anomaly", "is_anomaly", "anomalous", "outlier", "is_outlier"),
    *("attack", "is_attack", "fault", "failure", "class", "target"),
}


class ColumnOptions(Spec):
    """The roles of the columns of a file.

    Attributes:
        features: Columns to use, in this order; if null, all columns except `time`, `label` and those in `ignore`.
        ignore: Columns that are not used, such as texts, which are never turned into numbers.
        label: Name of the column of labels: 0 or false is normal, 1 or true anomalous; null for unlabeled rows.
        normal: Text of the label column in normal rows, such as `BENIGN`; every other text is an anomaly. If null, labels are
            0 and 1.
        univariate: Treatment of a single feature: `as_is`, or the `five_features` base, trend, seasonality, momentum and
            volatility of `tsad.data.five_features`. The detector then has these five columns, also for rows to score, so
            they must be requested.
        period: Rows of a season, for the five features, at least 2.
    """

    features: tuple[str, ...] | None = Field(None, min_length=1)
    ignore: tuple[str, ...] = ()
    label: str | None = None
    normal: str | None = None
    univariate: Literal["as_is", "five_features"] = "as_is"
    period: int = Field(24, ge=2)


@dataclass(frozen=True, eq=False)
class Inspection:
    """The result of inspecting a file: a data set, or the issues that prevent one.

    Attributes:
        issues: Everything that must be fixed before the file can be used; empty if there is a data set.
        repairs: Changes that were made to the rows, and assumptions about them, one sentence each.
        data: The data set, or None if there are issues.
    """

    issues: tuple[Issue, ...]
    repairs: tuple[str, ...]
    data: DataSet | None


class CsvSpec(EmptyCellOptions, OrderOptions, TimeOptions, ColumnOptions, TextOptions):
    """One CSV or Parquet file split in time into training and test rows, or one file for each.

    Rows are repaired only as the settings say; each repair is counted, logged as a warning, and listed among the `defects` of the
    data set. Row numbers count from 0 below the header. Repairs run in this order: lines, cells, times, sorting, rows of equal
    time, resampling, gaps, empty cells.

    Attributes:
        path: Path of the CSV or Parquet file, relative to the working folder.
        test_path: Path of the file of the test rows, which alone must have the column of labels; if null, the last `test_ratio`
            of the rows of `path` are the test rows.
        test_ratio: Fraction of the rows of `path` that become test rows if there is no `test_path`, between 0 and 1.
    """

    kind: Literal["csv"]
    path: Path
    test_path: Path | None = None
    test_ratio: float = Field(0.5, gt=0, lt=1)

    def load(self, folder: Path) -> DataSet:
        """Returns the rows of the file or files; raises `DataError` naming file, column, row, and how to fix the first issue."""
        inspection = self.inspect()
        if inspection.data is None:
            issue, *others = inspection.issues
            more = f" ({len(others)} more issues: tsad data check {self.path})" if others else ""
            raise DataError(f"{issue}{more}")
        for repair in inspection.repairs:
            _logger.warning("%s", repair)
        return inspection.data

    def sources(self, folder: Path) -> tuple[Path, ...]:
        """Returns the file, or the training file and the test file."""
        return (self.path,) if self.test_path is None else (self.path, self.test_path)

    @property
    def _labeled(self) -> Path:
        """File that must have the column of labels: that of the test rows."""
        return self.test_path or self.path

    def inspect(self) -> Inspection:
        """Returns the data set, or every issue that prevents one, where `load` raises the first."""
        issues = Issues(str(self.path))
        try:
            rows, features = self._rows(issues)
            test = None if self.test_path is None else self._test_rows(features, issues)
            data = self._cut(rows, test, features, issues)
        except FatalIssueError as error:
            issues.items.append(error.issue)
        return Inspection(tuple(issues.items), tuple(issues.repairs), None if issues.items else data)

    def _rows(self, issues: Issues) -> tuple[FileRows, tuple[str, ...]]:
        """Returns the repaired rows of the file that `issues` reports about, and the names of their features."""
        table = read_columns(Path(issues.source), self, issues)
        if not len(table):
            issues.fail("has no rows below its first line", advice="give a file with rows")
        if self.label is not None and self.label not in table.columns and issues.source != str(self._labeled):
            return self.model_copy(update={"label": None})._rows(issues)
        features = self._features(table, issues)
        rows = FileRows(
            cells=read_values(table, features, self.empty, issues),
            numbers=table.index.to_numpy(),
            labels=None if self.label is None else read_labels(table[self.label], self.normal, issues),
            times=None if self.time is None else read_times(table[self.time], self, issues),
        )
        return fill_empty_cells(order_rows(rows, self, issues), features, self, issues)

    def _test_rows(self, features: tuple[str, ...], issues: Issues) -> FileRows:
        spec = self if self.missing != "drop_column" else self.model_copy(update={"features": features})
        rows, test_features = spec._rows(issues.of(str(self.test_path)))
        if test_features != features:
            issues.of(str(self.test_path)).add(
                f"must have the features {features}, but has {test_features}",
                advice="name those of both in data.features",
            )
        return rows

    def _features(self, table: pd.DataFrame, issues: Issues) -> tuple[str, ...]:
        special = [column for column in (self.time, self.label) if column is not None]
        named = [*special, *self.ignore]
        if self.features is not None and set(named) & set(self.features):
            issues.fail(
                f"time, label and ignored columns must not be features, but {named} and {list(self.features)} share one",
                advice="leave it out of one of them",
            )
        features = self.features or tuple(column for column in table.columns if column not in set(named))
        absent = [column for column in (*features, *named) if column not in table.columns]
        if absent:
            issues.fail(
                f"has no column {absent[0]!r}; it has {shown(list(table.columns), 400)}", advice="name one of them"
            )
        if not features:
            issues.fail(
                "must have a column besides time, label and ignored ones, but has none", advice="name fewer of them"
            )
        if self.features is None:
            self._judge_names(table, features, issues)
        return features

    def _judge_names(self, table: pd.DataFrame, features: tuple[str, ...], issues: Issues) -> None:
        """Adds issues about columns that are features only by default: labels, and numbers of rows."""
        for name in features:
            if self.label is None and name.lower() in _LABEL_NAMES and np.isin(numbers(table[name])[0], (0, 1)).all():
                issues.add(
                    f"column {name!r} holds 0 and 1 and is called like a label; as a feature it would reveal the answer",
                    {"label": name},
                    "name the features in data.features",
                )
            if name.startswith("unnamed_") and len(table) > 1 and (np.diff(numbers(table[name])[0]) == 1).all():
                issues.add(
                    f"column {name!r} counts the rows and says nothing else",
                    {"ignore": [name]},
                    "name the features in data.features",
                )

    def _cut(self, rows: FileRows, test: FileRows | None, features: tuple[str, ...], issues: Issues) -> DataSet:
        series = self._series(rows, features)
        edge = len(series) if test is not None else len(series) - round(len(series) * self.test_ratio)
        if test is None and edge in {0, len(series)}:
            issues.fail(
                f"must hold training rows and test rows, but has {len(series)} for both at test_ratio "
                f"{self.test_ratio:g}",
                advice="give more rows",
            )
        later = series.part(edge, len(series)) if test is None else self._series(test, features)
        step = step_seconds(*(part for part in (rows, test) if part is not None))
        train, test_rows = narrowed(series.part(0, edge), later)
        return DataSet(
            name=self.path.stem,
            source=str(self.path),
            train=train,
            test=test_rows,
            step_seconds=step,
            missing=self.missing,
            defects=tuple(issues.repairs),
            read_options=ReadOptions.of(self, issues.inferred, step),
        )

    def _series(self, rows: FileRows, features: tuple[str, ...]) -> Series:
        values, names = rows.cells, features
        if self.univariate == "five_features" and len(features) == 1:
            values, names = five_features(values[:, 0], self.period, rows.boundaries), FIVE
        return Series(values, names, rows.labels, rows.boundaries, rows.times)
