"""Scoring of files of any size and of DataFrames: scores, flags, the features that explain them, and events."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from tsad.data.io.containers.kinds import scored_path
from tsad.data.io.containers.location import location
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.table_files import Chunk, TableFile
from tsad.data.io.text import Layout
from tsad.data.io.writers import CsvWriter, ParquetWriter, TableWriter, atomic_write
from tsad.detector.detector import Detector
from tsad.detector.score_table import Events, score_columns, score_table, with_threshold
from tsad.detector.scoring import BATCH
from tsad.errors import DataError
from tsad.streaming import ScoredRows, Stream, StreamPolicy
from tsad.workflows.context import open_context
from tsad.workflows.events import Message, OnEvent, ignore
from tsad.workflows.file_rows import open_rows, read_rows
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
    table: pd.DataFrame | None = field(default=None, repr=False)

    def __str__(self) -> str:
        ends = sorted({f"{end:.6g}" for end in self.thresholds}, key=float)
        summary = (
            f"{self.flagged} of {self.rows} rows flagged (threshold {' to '.join(ends)}, {self.method}); "
            f"{self.rows - self.scored} rows have no score"
        )
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
    on_event: OnEvent = ignore,
) -> ScoreResult:
    """Scores a file of rows of any size, or a DataFrame.

    A file is read chunk by chunk, by the options that the training rows were read by, and written with the columns `score`
    (empty where there is none), `flag`, `feature_1`, `share_1`, ... A DataFrame is scored in memory; nothing is written.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `runs:/RUN_ID/detector`, the folder of a saved detector, or,
            for a DataFrame, a detector.
        data: Rows in time order: path of a file or folder, its address, or a DataFrame that has the columns of the detector's
            features.
        output: File of the scored rows; by default next to `data`, or in the working folder for an address, and called like it
            with `.scored.csv`, or `.scored.parquet` for columns with types, in place of its endings.
        threshold: Flags scores above it instead of the detector's own threshold.
        explain: Number of features named with each score; by default 3, or none if their columns exist already.
        events: CSV file of the events; by default the output with the ending `.events.csv`.
        overrides: Read options by path, such as `{"data.time": "at"}`, in place of those of the training rows.
        rows_at_once: Number of rows of a file that are in memory.
        on_event: Callback for progress.

    Raises:
        DataError: naming file, row and column of the first cell that is not as it should be; if no row gets a score; if a
            file cannot be written.
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
    folder = open_context().detector_folder(model)
    detector = with_threshold(Detector.load(folder), threshold, "--threshold")
    table, read_options = open_rows(path, folder, overrides, on_event)
    top = _free_columns(table, detector, explain, on_event)
    with atomic_write(target, events_target) as (temporary_rows, temporary_events):
        chunks = scored_chunks(detector, table, read_options, rows_at_once, on_event)
        totals = _write(detector, table, (temporary_rows, temporary_events), top, chunks, read_options.time)
    return totals.result(detector.threshold.method, target, events_target)


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


def scored_chunks(
    detector: Detector, table: TableFile, read_options: ReadOptions, rows_at_once: int, on_event: OnEvent
) -> Iterator[tuple[Chunk | None, ScoredRows]]:
    """Yields the chunks of a file with the scores that each made final, then None with the scores of its end.

    Raises:
        DataError: naming file, rows and column of whatever is no row of this detector; if no row gets a score.
    """
    step = None if read_options.time is None else read_options.step_seconds
    stream, count = Stream(detector, StreamPolicy(step_seconds=step, fill_to=BATCH)), 0
    for rows in read_rows(table, detector.scorer.features, read_options, rows_at_once, on_event, timed=True):
        scored = stream.push(rows.values, rows.times)
        count += int((~np.isnan(scored.scores)).sum())
        yield rows.chunk, scored
    if not count:
        needed = detector.scorer.lookback + detector.scorer.lookahead + 1
        raise DataError(
            f"{table.path}: a score needs at least {needed} consecutive rows, but it has {stream.rows}"
            f"{', with gaps' if stream.rows >= needed else ''}; give more rows"
        )
    yield None, stream.finish()


@dataclass
class _Totals:
    """Totals over the chunks of a file."""

    rows: int = 0
    scored: int = 0
    flagged: int = 0
    events: int = 0
    lowest_threshold: float = np.inf
    highest_threshold: float = -np.inf

    def add(self, scored: ScoredRows) -> None:
        self.rows += len(scored.rows)
        self.scored += int((~np.isnan(scored.scores)).sum())
        self.flagged += int(scored.flags.sum())
        self.lowest_threshold = float(scored.thresholds.min(initial=self.lowest_threshold))
        self.highest_threshold = float(scored.thresholds.max(initial=self.highest_threshold))

    def result(self, method: str, output: Path, events_output: Path) -> ScoreResult:
        thresholds = (self.lowest_threshold, self.highest_threshold)
        return ScoreResult(self.rows, self.scored, self.flagged, self.events, thresholds, method, output, events_output)


def _write(
    detector: Detector,
    table: TableFile,
    temporary_paths: tuple[Path, Path],
    top: int,
    chunks: Iterable[tuple[Chunk | None, ScoredRows]],
    time: str | None,
) -> _Totals:
    """Writes rows and events as they become final."""
    features = detector.scorer.features
    totals, events, times = _Totals(), Events(features, top), list[str]()
    with (
        _writer(table, temporary_paths[0], features) as writer,
        temporary_paths[1].open("w", encoding="utf-8", newline="") as file,
    ):
        _write_events(events.close(), file, table.layout, header=True)
        for chunk, scored in chunks:
            if chunk is not None:
                writer.append(chunk)
                times += [] if time is None else chunk.texts(time)
            final = len(scored.rows)
            arrays = (scored.scores, scored.flags, scored.by_feature)
            writer.write(score_table(*arrays, features, top))
            ended = [events.take(scored.rows, None if time is None else times[:final], *arrays)]
            ended += [events.close()] if chunk is None else []
            for event_table in filter(len, ended):
                _write_events(event_table, file, table.layout, header=False)
                totals.events += len(event_table)
            del times[:final]
            totals.add(scored)
    return totals


def _write_events(events: pd.DataFrame, file: TextIO, layout: Layout, *, header: bool) -> None:
    events.to_csv(file, index=False, header=header, sep=layout.separator, decimal=layout.decimal)


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


def _free_columns(table: TableFile, detector: Detector, explain: int | None, on_event: OnEvent) -> int:
    """Returns how many features explain a row; raises `DataError` if a column that is to be added exists already."""
    features = detector.scorer.features
    taken = [name for name in score_columns(features, TOP if explain is None else explain) if name in table.names]
    if taken and (explain is not None or taken[0] in {"score", "flag"}):
        raise DataError(f"{table.path}: has a column {taken[0]!r} already; rename it, so that the new one has a place")
    if taken:
        text = f"{table.path} has a column {taken[0]!r} already, so no features that explain a row are named"
        on_event(Message(text))
        return 0
    return TOP if explain is None else explain
