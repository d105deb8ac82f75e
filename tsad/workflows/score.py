"""Scoring of files of any size and of DataFrames: scores, flags, the features that explain them, and events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from tsad.data.io.containers.kinds import scored_path, table_name
from tsad.data.io.containers.location import location
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.table_files import Chunk, TableFile
from tsad.data.io.writers import CsvWriter, ParquetWriter, TableWriter, atomic_write
from tsad.detector.detector import Detector
from tsad.detector.score_table import Events, score_columns, score_table, with_threshold
from tsad.errors import DataError
from tsad.fleet import Fleet
from tsad.parallel import TaskOptions
from tsad.streaming import ScoredRows
from tsad.workflows.context import open_context
from tsad.workflows.events import Message, OnEvent, ignore
from tsad.workflows.file_rows import open_rows
from tsad.workflows.file_scores import Judge, WholeFile, features_of, scored_chunks
from tsad.workflows.inputs import NO_OVERRIDES

TOP = 3
"""Number of features that explain a row, unless another number is set."""


@dataclass(frozen=True, eq=False)
class ScoreResult:
    """Result of scoring. `str()` is what the command line prints.

    Attributes:
        rows: Number of rows.
        scored: Number of rows that have a score.
        flagged: Number of rows that are flagged.
        events: Number of events, that is, of stretches of flagged rows.
        thresholds: Lowest and highest threshold that a row was compared with.
        method: How the threshold was fitted.
        output: File of the scored rows; None for a DataFrame.
        events_output: CSV file of the events; None for a DataFrame.
        reason: Why rows have no score; empty if all have one, and for a DataFrame.
        table: Scored DataFrame with the columns `score`, `flag`, `feature_1`, `share_1`, ...; None for a file.
    """

    rows: int
    scored: int
    flagged: int
    events: int
    thresholds: tuple[float, float]
    method: str
    output: Path | None = None
    events_output: Path | None = None
    reason: str = ""
    table: pd.DataFrame | None = field(default=None, repr=False)

    def __str__(self) -> str:
        ends = sorted({f"{end:.6g}" for end in self.thresholds}, key=float)
        summary = (
            f"{self.flagged} of {self.rows} rows flagged (threshold {' to '.join(ends)}, {self.method}); "
            f"{self.rows - self.scored} rows have no score"
        ) + f": {self.reason}" * bool(self.reason)
        if self.output is None:
            return summary
        return f"{summary}\nfile: {self.output}\nevents: {self.events_output} ({self.events})"

    def _repr_html_(self) -> str:
        rows = "" if self.table is None else self.table[self.table["flag"]].head(10).to_html()
        return f"<p>{self}</p>{rows}"


def score(
    model: str | Path | Detector,
    data: str | Path | pd.DataFrame,
    *,
    output: str | Path | None = None,
    threshold: float | None = None,
    explain: int | None = None,
    events: str | Path | None = None,
    overrides: Mapping[str, Any] = NO_OVERRIDES,
    rows_at_once: int = 10_000,
    tasks: TaskOptions | None = None,
    on_event: OnEvent = ignore,
) -> ScoreResult:
    """Scores a file of rows of any size, or a DataFrame.

    A file is read chunk by chunk, by the options that the training rows were read by, and written with the columns `score`
    (empty where there is none), `flag`, `feature_1`, `share_1`, ..., which begin with `tsad_` if the file has a column of such a
    name. A DataFrame is scored in memory; nothing is written. A fleet scores each row by the detector of its entity: that of the
    column that its training rows had, or, without such a column, that of the name of the file. Many files: `tsad.score_files`.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `runs:/RUN_ID/detector`, the folder of a saved detector, or,
            for a DataFrame, a detector.
        data: Rows in time order: path of a file or folder, its address, or a DataFrame that has the columns of the detector's
            features.
        output: File of the scored rows; by default next to `data`, or in the working folder for an address, and called like it
            with `.scored.csv`, or `.scored.parquet` for columns with types, in place of its endings.
        threshold: Flags scores above it instead of the detector's own threshold.
        explain: Number of features named with each score; by default 3.
        events: CSV file of the events; by default the output with the ending `.events.csv`.
        overrides: Read options by path, such as `{"data.time": "at"}`, in place of those of the training rows.
        rows_at_once: Number of rows of a file that are in memory.
        tasks: How the entities of a file are scored side by side; None scores them one after the other.
        on_event: Callback for progress.

    Raises:
        DataError: naming file, row and column of the first cell that is not as it should be; if no row gets a score; if an
            entity is unknown to a fleet; if a file cannot be written.
        DetectorError: if there is no such model.
        SpecError: if the threshold is not finite, or an override is no read option.

    Example:
        >>> import tsad
        >>> print(tsad.score("models:/tsad@champion", "load.csv"))  # doctest: +SKIP
        12 of 960 rows flagged (threshold 3.52, percentile 99); 15 rows have no score
    """
    if isinstance(data, pd.DataFrame):
        detector = model if isinstance(model, Detector) else Detector.load(open_context().detector_folder(model))
        return _score_frame(with_threshold(detector, threshold, "threshold"), data, TOP if explain is None else explain)
    if isinstance(model, Detector):
        raise DataError(
            "a file is scored by a saved detector, but got a detector in memory; save it, or pass a DataFrame"
        )
    path = location(data)
    target = scored_path(path) if output is None else Path(output)
    events_target = target.with_name(f"{target.stem}.events.csv") if events is None else Path(events)
    _check_targets(path, target, events_target)
    judge, folder = _judge(model, path, overrides, threshold)
    table, read_options = open_rows(path, folder, overrides, on_event)
    top = TOP if explain is None else explain
    prefix = _prefix(table, features_of(judge), top, on_event)
    with atomic_write(target, events_target) as (temporary_rows, temporary_events):
        scored_file = _ScoredFile(judge, table, read_options, top, prefix, tasks)
        totals = scored_file.write(temporary_rows, temporary_events, rows_at_once, on_event)
    return totals.result(judge, read_options, target, events_target)


def _judge(model: str | Path, path: Path, overrides: Mapping[str, Any], threshold: float | None) -> tuple[Judge, Path]:
    """Returns the detector or fleet that scores the rows of a file, and the folder that says how they are read."""
    context = open_context()
    fleet = context.fleet(model)
    if fleet is not None:
        if overrides.get("data.entity", fleet.read_options.entity) is not None:
            return fleet.with_threshold(threshold, "--threshold"), fleet.folder
        fleet.check([table_name(path)], str(path))
    folder = context.detector_folder(model) if fleet is None else fleet.detector_folder(table_name(path))
    return with_threshold(Detector.load(folder), threshold, "--threshold"), folder


def _score_frame(detector: Detector, frame: pd.DataFrame, top: int) -> ScoreResult:
    taken = [name for name in score_columns(detector.scorer.features, top) if name in frame.columns]
    if taken:
        raise DataError(f"DataFrame: has a column {taken[0]!r} already; rename it, or use Detector.score")
    table = detector.score_frame(frame, top=top)
    flags = table["flag"].to_numpy(bool)
    thresholds = detector.threshold.per_row(table["score"].to_numpy(np.float64))
    starts = flags & ~np.concatenate([[False], flags[:-1]])
    return ScoreResult(
        rows=len(table),
        scored=int(table["score"].notna().sum()),
        flagged=int(flags.sum()),
        events=int(starts.sum()),
        thresholds=(float(thresholds.min()), float(thresholds.max())),
        method=detector.threshold.method,
        table=pd.concat([frame, table], axis=1),
    )


@dataclass
class _Totals:
    """Totals over the chunks of a file."""

    rows: int = 0
    scored: int = 0
    flagged: int = 0
    events: int = 0
    stretches: int = 0
    ends_unscored: bool = False
    lowest_threshold: float = np.inf
    highest_threshold: float = -np.inf

    def add(self, scored: ScoredRows) -> None:
        self.rows += len(scored.rows)
        unscored = np.isnan(scored.scores)
        self.scored += int((~unscored).sum())
        self.stretches += int(
            (unscored & ~np.concatenate([[self.ends_unscored], unscored[:-1]])[: len(unscored)]).sum()
        )
        self.ends_unscored = bool(unscored[-1]) if len(unscored) else self.ends_unscored
        self.flagged += int(scored.flags.sum())
        self.lowest_threshold = float(np.fmin.reduce(scored.thresholds, initial=self.lowest_threshold))
        self.highest_threshold = float(np.fmax.reduce(scored.thresholds, initial=self.highest_threshold))

    def result(self, judge: Judge, read_options: ReadOptions, output: Path, events_output: Path) -> ScoreResult:
        thresholds = (self.lowest_threshold, self.highest_threshold)
        one = judge.detector(judge.names[0]) if isinstance(judge, Fleet) else judge
        reason = self._reason(one, read_options) if self.scored < self.rows else ""
        counts = (self.rows, self.scored, self.flagged, self.events)
        return ScoreResult(*counts, thresholds, one.threshold.method, output, events_output, reason)

    def _reason(self, detector: Detector, read_options: ReadOptions) -> str:
        """Returns why rows have no score, on one line."""
        before, after = detector.scorer.lookback, detector.scorer.lookahead
        gap = ""
        if read_options.time is not None and read_options.step_seconds is not None:
            gap = f" without a gap of more than {read_options.gap * read_options.step_seconds:g} s"
        needed = f"each needs {before} rows before it" + (f" and {after} after it" if after else "") + gap
        stretches = f", which rows lack in {self.stretches} stretches of the file" if self.stretches > 1 else ""
        left_out = "; rows that were left out have none either" if self._drops(read_options) else ""
        return f"{needed}{stretches}{left_out}"

    @staticmethod
    def _drops(read_options: ReadOptions) -> bool:
        """Returns whether a reading leaves rows out."""
        return read_options.stray_times == "drop" or read_options.outages == "break" or read_options.bad_lines == "drop"


@dataclass(frozen=True, eq=False)
class _ScoredFile:
    """A file that is scored, and how its scores are written.

    Attributes:
        judge: Detector or fleet that scores and flags.
        table: File of the rows.
        read_options: How its rows are read.
        top: Number of features that explain a row.
        prefix: Beginning of the names of the added columns.
        tasks: How entities are scored side by side; None scores them one after the other.
    """

    judge: Judge
    table: TableFile
    read_options: ReadOptions
    top: int
    prefix: str
    tasks: TaskOptions | None

    def write(self, rows_path: Path, events_path: Path, rows_at_once: int, on_event: OnEvent) -> _Totals:
        """Writes rows and events as they become final, events after the rows if those are not in the order of their times."""
        judge, read_options, table = self.judge, self.read_options, self.table
        features = features_of(judge)
        whole = None
        if read_options.is_streamable and isinstance(judge, Detector):
            chunks = scored_chunks(judge, table, read_options, rows_at_once, on_event)
        else:
            whole = WholeFile.read(judge, table.path, read_options, on_event, self.tasks)
            chunks = whole.chunks(table, rows_at_once, on_event)
        totals, events, times = _Totals(), Events(features, self.top), list[str]()
        with (
            _writer(table, rows_path, features) as writer,
            events_path.open("w", encoding="utf-8", newline="") as file,
        ):
            self._append(events.close() if whole is None else self._whole_events(whole, None)[:0], file, header=True)
            for chunk, scored in chunks:
                if chunk is not None:
                    writer.append(chunk)
                    times += self._times(chunk)
                arrays = (scored.scores, scored.flags, scored.by_feature)
                writer.write(score_table(*arrays, features, self.top).add_prefix(self.prefix))
                totals.add(scored)
                if whole is None:
                    final = len(scored.rows)
                    ended = [events.take(scored.rows, times[:final] if times else None, *arrays)]
                    ended += [events.close()] if chunk is None else []
                    del times[:final]
                    totals.events += sum(self._append(table, file) for table in ended)
            if whole is not None:
                totals.events = self._append(self._whole_events(whole, times or None), file)
        return totals

    def _times(self, chunk: Chunk) -> list[str]:
        columns = [chunk.texts(name) for name in self.read_options.time_columns]
        return [" ".join(cells) for cells in zip(*columns, strict=True)]

    def _whole_events(self, whole: WholeFile, times: Sequence[str] | None) -> pd.DataFrame:
        """Returns the events of each entity, in the order of their times."""
        tables = []
        for name, scored in whole.entity_parts():
            events = Events(features_of(self.judge), self.top)
            own = None if times is None else [times[row] for row in scored.rows]
            arrays = (scored.rows, own, scored.scores, scored.flags, scored.by_feature)
            table = pd.concat([events.take(*arrays), events.close()], ignore_index=True)
            if name:
                table.insert(0, "entity", name)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def _append(self, events: pd.DataFrame, file: TextIO, *, header: bool = False) -> int:
        """Writes events below those that are there, and returns their number."""
        layout = self.table.layout
        if header or len(events):
            events.to_csv(file, index=False, header=header, sep=layout.separator, decimal=layout.decimal)
        return len(events)


def _writer(table: TableFile, target: Path, features: tuple[str, ...]) -> TableWriter:
    return CsvWriter(target, table) if target.suffix == ".csv" else ParquetWriter(target, features)


def _check_targets(path: Path, target: Path, events: Path) -> None:
    if target.suffix not in {".csv", ".parquet"}:
        raise DataError(f"{target}: a table must be a .csv or .parquet file; rename it")
    if events.suffix != ".csv":
        raise DataError(f"{events}: events are written as a .csv file; rename it")
    if target.resolve() == path.resolve():
        raise DataError(f"{target}: the output must not be the file that is read; give --output another name")
    if events.resolve() in (path.resolve(), target.resolve()):
        raise DataError(f"{events}: events must not be written over the rows; give --events another name")


def _prefix(table: TableFile, features: Sequence[str], top: int, on_event: OnEvent) -> str:
    """Returns what the names of the added columns begin with, so that none of them is there already; usually nothing."""
    added = score_columns(features, top)
    if not set(added) & set(table.names):
        return ""
    prefix = "tsad_"
    while {f"{prefix}{name}" for name in added} & set(table.names):
        prefix = f"tsad_{prefix}"
    taken = next(name for name in added if name in table.names)
    on_event(
        Message(f"{table.path} has a column {taken!r} already, so the added columns are called {prefix}{taken}, ...")
    )
    return prefix
