"""`tsad score`: a table of any size in; the same rows with scores, flags and what explains them out; events beside it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

import click
import numpy as np
import pandas as pd

from tsad.data.io.read_options import ReadOptions
from tsad.data.io.table_files import Chunk, TableFile
from tsad.data.io.text import Layout
from tsad.data.io.writers import CsvWriter, ParquetWriter, TableWriter, atomic_write
from tsad.detector.detector import Detector
from tsad.detector.score_table import Events, score_columns, score_table, with_threshold
from tsad.detector.scoring import BATCH
from tsad.errors import DataError
from tsad.streaming import ScoredRows, Stream, StreamPolicy
from tsad.workflows.file_rows import find_folder, opened, rows_of

TOP = 3
"""Features that explain a row, unless another number is asked for."""


def score(
    model: str,
    path: Path,
    output: Path | None,
    threshold: float | None,
    *,
    top: int | None = None,
    events: Path | None = None,
    changes: Mapping[str, Any] = MappingProxyType({}),
    rows_at_once: int = 10_000,
) -> None:
    """Writes the rows of a CSV or Parquet file with `score` (empty where there is none), `flag` and explanations.

    Args:
        model: URI or folder of the detector.
        path: Of the rows.
        output: Default: `path` with `.scored` before its ending.
        threshold: Flags scores above it instead of the detector's own.
        top: Features that explain a row; None for `TOP`, or for none if their columns are taken.
        events: CSV of the flagged stretches; default: `output` with the ending `.events.csv`.
        changes: Settings of how rows are read by path, such as `data.time`, in place of those of the training.
        rows_at_once: That are in memory.
    """
    target = output or path.with_name(f"{path.stem}.scored{path.suffix}")
    beside = events or target.with_name(f"{target.stem}.events.csv")
    _check_targets(path, target, beside)
    folder = find_folder(model)
    detector = with_threshold(Detector.load(folder), threshold, "--threshold")
    table, read_options = opened(path, folder, changes)
    top = _free_places(table, detector, top)
    with atomic_write(target, beside) as (temporary_rows, temporary_events):
        found = judged(detector, table, read_options, rows_at_once)
        tally = _write(detector, table, (temporary_rows, temporary_events), top, found, read_options.time)
    ends = sorted({f"{end:.6g}" for end in (tally.lowest_threshold, tally.highest_threshold)}, key=float)
    click.echo(
        f"{tally.flagged} of {tally.rows} rows flagged (threshold {' to '.join(ends)}, {detector.threshold.method}); "
        f"{tally.rows - tally.scored} rows have no score"
    )
    click.echo(f"file: {target}")
    click.echo(f"events: {beside} ({tally.events})")


def judged(
    detector: Detector, table: TableFile, read_options: ReadOptions, rows_at_once: int
) -> Iterator[tuple[Chunk | None, ScoredRows]]:
    """Yields the chunks of a file with the scores that each made final, then None with those of its end.

    Raises:
        DataError: naming file, rows and column of whatever is no row of this detector; if not one row gets a score.
    """
    step = None if read_options.time is None else read_options.step_seconds
    stream, count = Stream(detector, StreamPolicy(step_seconds=step, fill_to=BATCH)), 0
    for rows in rows_of(table, detector.scorer.features, read_options, rows_at_once, timed=True):
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
class _Tally:
    """What is told of a file at the end."""

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


def _write(
    detector: Detector,
    table: TableFile,
    temporary_paths: tuple[Path, Path],
    top: int,
    judged_chunks: Iterable[tuple[Chunk | None, ScoredRows]],
    time: str | None,
) -> _Tally:
    """Writes rows and events as they become final."""
    features = detector.scorer.features
    tally, events, times = _Tally(), Events(features, top), list[str]()
    with (
        _writer(table, temporary_paths[0], features) as writer,
        temporary_paths[1].open("w", encoding="utf-8", newline="") as file,
    ):
        _tell(events.close(), file, table.layout, header=True)
        for chunk, scored in judged_chunks:
            if chunk is not None:
                writer.append(chunk)
                times += [] if time is None else chunk.texts(time)
            final = len(scored.rows)
            found = (scored.scores, scored.flags, scored.by_feature)
            writer.write(score_table(*found, features, top))
            ended = [events.take(scored.rows, None if time is None else times[:final], *found)]
            ended += [events.close()] if chunk is None else []
            for stretches in filter(len, ended):
                _tell(stretches, file, table.layout, header=False)
                tally.events += len(stretches)
            del times[:final]
            tally.add(scored)
    return tally


def _tell(stretches: pd.DataFrame, file: TextIO, layout: Layout, *, header: bool) -> None:
    stretches.to_csv(file, index=False, header=header, sep=layout.separator, decimal=layout.decimal)


def _writer(table: TableFile, target: Path, features: tuple[str, ...]) -> TableWriter:
    return CsvWriter(target, table) if target.suffix == ".csv" else ParquetWriter(target, features)


def _check_targets(path: Path, target: Path, beside: Path) -> None:
    if target.suffix not in {".csv", ".parquet"}:
        raise DataError(f"{target}: a table must be a .csv or .parquet file; rename it")
    if beside.suffix != ".csv":
        raise DataError(f"{beside}: events are written as a .csv file; rename it")
    if target.resolve() == path.resolve():
        raise DataError(f"{target}: the output must not be the file that is read; give --output another name")
    if beside.resolve() in (path.resolve(), target.resolve()):
        raise DataError(f"{beside}: events must not be written over the rows; give --events another name")


def _free_places(table: TableFile, detector: Detector, top: int | None) -> int:
    """Returns how many features explain a row; raises `DataError` if a column that is to be added is there already."""
    features = detector.scorer.features
    taken = [name for name in score_columns(features, TOP if top is None else top) if name in table.names]
    if taken and (top is not None or taken[0] in {"score", "flag"}):
        raise DataError(f"{table.path}: has a column {taken[0]!r} already; rename it, so that the new one has a place")
    if taken:
        click.echo(f"{table.path} has a column {taken[0]!r} already, so no features that explain a row are named")
        return 0
    return TOP if top is None else top
