"""Files of rows of the user."""

import glob
import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from tsad.arrays import Flags
from tsad.data.combine import join
from tsad.data.dataset import DataSet, TypedEvent
from tsad.data.io.containers.kinds import table_name
from tsad.data.io.containers.location import FilePath
from tsad.data.io.events import EventSpec, labeled, read_events
from tsad.data.io.issues import FatalIssueError, Issue, Issues
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.reading import ReadingSpec, read_file, to_series
from tsad.data.io.regular import FileRows, median_step, step_seconds
from tsad.data.io.time_options import TimeOptions
from tsad.data.io.times import to_times
from tsad.data.precision import narrowed
from tsad.errors import DataError, shown

_UTC = TimeOptions()
_logger = logging.getLogger(__name__)


class Account(NamedTuple):
    """Rows of the files, counted by what became of them.

    Attributes:
        read: Rows in the files.
        used: Rows of the data set, of which some may have been inserted.
        merged: Rows that share a row of the data set with another one, such as rows of equal time.
        dropped: Rows that were left out.
        inserted: Rows of the data set that no row of the files is in.
    """

    read: int
    used: int
    merged: int
    dropped: int
    inserted: int

    def __str__(self) -> str:
        parts = {"merged into others": self.merged, "left out": self.dropped, "inserted": -self.inserted}
        counts = [f"{abs(count)} {what}" for what, count in parts.items() if count]
        return f"{self.read} rows read, {self.used} used{''.join(f', {count}' for count in counts)}"

    def plus(self, other: "Account") -> "Account":
        """Returns the sums."""
        return Account(*(one + two for one, two in zip(self, other, strict=True)))


@dataclass(frozen=True, eq=False)
class Inspection:
    """The result of inspecting a file: a data set, or the issues that prevent one.

    Attributes:
        issues: Everything that must be fixed before the file can be used; empty if there is a data set.
        repairs: Changes that were made to the rows, and assumptions about them, one sentence each.
        data: The data set, or None if there are issues.
        account: What became of the rows of the files; None if there are issues.
    """

    issues: tuple[Issue, ...]
    repairs: tuple[str, ...]
    data: DataSet | None
    account: Account | None = None


class CsvSpec(ReadingSpec):
    """Files of rows split in time into training and test rows, or other files for each.

    Rows are repaired only as the settings say; each repair is counted, logged as a warning, and listed among the `defects` of the
    data set. Row numbers count from 0 below the header.

    Attributes:
        path: Path of the file, or of a folder of Parquet files, relative to the working folder; or an address such as
            `s3://bucket/rows.csv`; or a list of these, or a pattern such as `machines/*.csv`, of which each file holds the rows
            of one machine and is an entity of its own.
        test_path: Path, list or pattern of the files of the test rows, which alone must have the column of labels; if null, the
            last `test_ratio` of the rows of each entity of `path` are the test rows.
        test_ratio: Fraction of the rows of `path` that become test rows if there is no `test_path`, between 0 and 1.
        test_from: First test row in place of `test_ratio`: its number among the rows of each entity, or a moment in UTC. May also
            be written as `split.at`.
        events: Labeled anomalies in place of a column of labels: path of a file (`tsad.data.io.events.read_events`), or a list of
            `{start, end, type, entity}`. They are looked up in the test file if there is one, and else in all rows.
    """

    kind: Literal["csv"]
    path: FilePath | Annotated[tuple[FilePath, ...], Field(min_length=1)]
    test_path: FilePath | Annotated[tuple[FilePath, ...], Field(min_length=1)] | None = None
    test_ratio: float = Field(0.5, gt=0, lt=1)
    test_from: int | str | None = None
    events: FilePath | tuple[EventSpec, ...] | None = None

    @model_validator(mode="after")
    def _one_source_of_labels(self) -> Self:
        if self.events is not None and self.label is not None:
            raise ValueError(
                f"labels come from the column {self.label!r} or from events, but both are set; leave one out"
            )
        if self.test_from is not None and self.test_path is not None:
            raise ValueError(
                "test rows are those of test_path, or those from test_from on, but both are set; leave one out"
            )
        return self

    def load(self, folder: Path) -> DataSet:
        """Returns the rows of the file or files; raises `DataError` naming file, column, row, and how to fix the first issue."""
        inspection = self.inspect()
        if inspection.data is None:
            issue, *others = inspection.issues
            more = f" ({len(others)} more issues: tsad data check {shlex.quote(str(self.path))})" if others else ""
            raise DataError(f"{issue}{more}")
        for repair in inspection.repairs:
            _logger.warning("%s", repair)
        return inspection.data

    def sources(self, folder: Path) -> tuple[Path, ...]:
        """Returns the files, those of the training rows first."""
        events = (self.events,) if isinstance(self.events, Path) else ()
        return (*_files(self.path), *(() if self.test_path is None else _files(self.test_path)), *events)

    def inspect(self) -> Inspection:
        """Returns the data set, or every issue that prevents one, where `load` raises the first."""
        issues = Issues(str(self.path))
        try:
            entities, features, account = self._read(
                _files(self.path), self, issues, label_optional=self.test_path is not None
            )
            test = None
            step = _usual_step(list(entities.values()))
            if self.test_path is not None:
                spec = self.model_copy(update={"features": features} if self.missing == "drop_column" else {})
                test, test_features, test_account = self._read(_files(self.test_path), spec, issues, step)
                account = account.plus(test_account)
                if test_features != features:
                    issues.of(str(self.test_path)).add(
                        f"must have the features {shown(features)}, but has {shown(test_features)}",
                        advice="name those of both in data.features",
                    )
            data = self._cut(entities, test, features, step, issues)
        except FatalIssueError as error:
            issues.items.append(error.issue)
        if issues.items:
            return Inspection(tuple(issues.items), tuple(issues.repairs), None)
        return Inspection((), tuple(issues.repairs), data, account)

    def _read(
        self,
        files: Sequence[Path],
        spec: ReadingSpec,
        issues: Issues,
        step: float | None = None,
        *,
        label_optional: bool = False,
    ) -> tuple[dict[str, FileRows], tuple[str, ...], Account]:
        """Returns the rows of each entity, the names of the features, and what became of the rows of the files."""
        entities: dict[str, FileRows] = {}
        features: tuple[str, ...] = ()
        account = Account(0, 0, 0, 0, 0)
        for file in files:
            own = issues.of(str(file))
            rows, names = read_file(file, spec, own, step, label_optional=label_optional)
            account = account.plus(_account(rows))
            if features and names != features:
                own.fail(
                    f"must have the columns of the other files, {shown(features)}, but has {shown(names)}",
                    advice="name those of all in data.features",
                )
            features = names
            parts = _split_by_entity(rows, table_name(file) if len(files) > 1 else "")
            if repeated := parts.keys() & entities.keys():
                own.fail(f"has rows of {sorted(repeated)[0]!r}, which another file has too", advice="rename one")
            entities |= parts
            spec = spec.model_copy(update={"features": features}) if spec.pivot is None else spec
        return entities, features, account

    def _cut(
        self,
        entities: dict[str, FileRows],
        test: dict[str, FileRows] | None,
        features: tuple[str, ...],
        step: float | None,
        issues: Issues,
    ) -> DataSet:
        if test is not None and test.keys() != entities.keys():
            lonely = sorted(test.keys() ^ entities.keys())
            issues.fail(
                f"each entity must have training rows and test rows, but {shown(lonely)} have one of them only",
                advice="give both, or leave those entities out",
            )
        parts = [
            self._cut_entity(name, rows, None if test is None else test[name], features, issues)
            for name, rows in entities.items()
        ]
        data = join(parts, self._name)
        train, later = narrowed(data.train, data.test)
        return replace(
            data,
            train=train,
            test=later,
            defects=tuple(issues.repairs),
            read_options=ReadOptions.of(self, features, issues.inferred, step),
        )

    @property
    def _name(self) -> str:
        first = _files(self.path)[0]
        return table_name(first) if isinstance(self.path, Path) and first == self.path else first.resolve().parent.name

    def _cut_entity(
        self, name: str, rows: FileRows, test: FileRows | None, features: tuple[str, ...], issues: Issues
    ) -> DataSet:
        types: tuple[tuple[int, int, str], ...] = ()
        if self.events is not None:
            rows, test, types = self._labeled(name, rows, test, issues)
        series = to_series(rows, features, self)
        edge = len(series) if test is not None else self._edge(rows)
        if test is None and edge in {0, len(series)}:
            issues.fail(
                f"must hold training rows and test rows{f' of {name!r}' if name else ''}, but has {len(series)} for both at "
                + (f"test_ratio {self.test_ratio:g}" if self.test_from is None else f"test_from {self.test_from}"),
                advice="give more rows",
            )
        later = series.part(edge, len(series)) if test is None else to_series(test, features, self)
        return DataSet(
            name=f"{self._name}-{name}" if name else self._name,
            source=str(self.path),
            train=series.part(0, edge),
            test=later,
            step_seconds=step_seconds(*(part for part in (rows, test) if part is not None)),
            missing=str(self.missing),
            typed_events=_test_types(types, 0 if test is not None else edge),
        )

    def _edge(self, rows: FileRows) -> int:
        """Returns the index of the first test row."""
        if isinstance(self.test_from, str):
            moment = to_times(pd.Series([self.test_from], name="test_from"), "data.test_from", _UTC)[0]
            if rows.times is None:
                raise DataError(
                    f"test_from {self.test_from!r} is a moment, but rows have no times; name their column in data.time"
                )
            return int(np.searchsorted(rows.times, moment))
        if self.test_from is not None:
            return min(max(self.test_from, 0), len(rows.cells))
        return len(rows.cells) - round(len(rows.cells) * self.test_ratio)

    def _labeled(
        self, name: str, rows: FileRows, test: FileRows | None, issues: Issues
    ) -> tuple[FileRows, FileRows | None, tuple[tuple[int, int, str], ...]]:
        """Returns training and test rows with the labels that the events give, and the anomaly types of the labeled rows."""
        target = rows if test is None else test
        listed, row_labels = self._events(target)
        types: tuple[tuple[int, int, str], ...] = ()
        if row_labels is not None:
            labels = _labels_by_row(target, row_labels)
        else:
            result = labeled(listed, name, target.times, target.numbers, self)
            labels, types = result.labels, result.types
            if result.unmatched:
                issues.add_repair(
                    f"{len(result.unmatched)} of {len(listed)} events have no row, first from {result.unmatched[0].start}"
                )
            if listed and len(result.unmatched) == len(listed):
                issues.add(
                    f"no row is in one of the {len(listed)} events, first from {result.unmatched[0].start}",
                    advice="see that events and rows have the same times, or row numbers",
                )
        marked = replace(target, labels=labels)
        return (marked, None, types) if test is None else (rows, marked, types)

    def _events(self, rows: FileRows) -> tuple[tuple[EventSpec, ...], Flags | None]:
        if self.events is None or isinstance(self.events, tuple):
            return self.events or (), None
        path = _files(self.test_path or self.path)[0]
        return read_events(self.events, path, len(rows.mapping))


def _test_types(types: Sequence[tuple[int, int, str]], first: int) -> tuple[TypedEvent, ...]:
    """Returns the typed events of the test rows, which begin at `first`."""
    return tuple(TypedEvent(max(start - first, 0), stop - first, kind) for start, stop, kind in types if stop > first)


def _labels_by_row(rows: FileRows, labels: Flags) -> Flags:
    """Returns the label of each row that rows of a file, which have a label each, went into."""
    merged, mapping = np.zeros(len(rows.cells), bool), rows.mapping
    np.logical_or.at(merged, mapping[mapping >= 0], labels[mapping >= 0])
    return merged


def _files(path: Path | tuple[Path, ...]) -> tuple[Path, ...]:
    """Returns the files that a path, a list of paths, or a pattern names; a pattern without a match as it is."""
    if isinstance(path, tuple):
        return path
    if not glob.has_magic(str(path)) or path.exists():
        return (path,)
    return tuple(Path(name) for name in sorted(glob.glob(str(path), recursive=True))) or (path,)  # noqa: PTH207 (the pattern may be absolute)


def _split_by_entity(rows: FileRows, default: str) -> dict[str, FileRows]:
    """Returns the rows of each entity by its name; those of a file without entities by the default name."""
    if not rows.entities:
        return {default: rows}
    edges = [*(first for _, first in rows.entities), len(rows.cells)]
    return {name: rows.stretch(start, stop) for (name, start), stop in zip(rows.entities, edges[1:], strict=True)}


def _usual_step(entities: Sequence[FileRows]) -> float | None:
    steps = [step for rows in entities if (step := median_step(rows)) is not None]
    return float(np.median(steps)) if steps else None


def _account(rows: FileRows) -> Account:
    mapping = rows.mapping
    used, taken = len(rows.cells), mapping[mapping >= 0]
    distinct = len(np.unique(taken))
    return Account(len(mapping), used, len(taken) - distinct, len(mapping) - len(taken), used - distinct)
