"""`tsad score`: a table of any size in; the same rows with scores, flags and what explains them out; events beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import click
import numpy as np
import pandas as pd
from tqdm import tqdm

from tsad.commands.place import open_place, read_settings
from tsad.data.table_files import Piece, TableFile, open_table
from tsad.data.table_text import Layout
from tsad.data.table_writers import CsvWriter, ParquetWriter, TableWriter, written_whole
from tsad.data.times import Times, to_times
from tsad.data.values import to_values
from tsad.detector import Detector
from tsad.errors import DataError
from tsad.scoring import BATCH
from tsad.serving.registry import load_detector
from tsad.streaming import Stream, StreamPolicy, Verdicts
from tsad.tables import Events, at_level, verdict_columns, verdict_table

TOP = 3
"""Features that explain a row, unless another number is asked for."""


@dataclass(frozen=True)
class Reading:
    """How the rows of a file are taken in.

    Attributes:
        time: Column of ascending timestamps; None if the rows follow each other without any.
        step: Seconds from one row to the next; after a longer gap a recording begins anew. None: no gap is looked for.
        rows_at_once: That are in memory.
    """

    time: str | None = None
    step: float | None = None
    rows_at_once: int = 10_000


def score(
    model: str,
    path: Path,
    output: Path | None,
    level: float | None,
    *,
    top: int | None = None,
    events: Path | None = None,
    reading: Reading = Reading(),
) -> None:
    """Writes the rows of a CSV or Parquet file with `score` (empty where there is none), `flag` and explanations.

    Args:
        model: URI or folder of the detector.
        path: Of the rows.
        output: Default: `path` with `.scored` before its ending.
        level: Flags scores above it instead of the detector's own.
        top: Features that explain a row; None for `TOP`, or for none if their columns are taken.
        events: CSV of the flagged stretches; default: `output` with the ending `.events.csv`.
        reading: Of the rows.
    """
    target = output or path.with_name(f"{path.stem}.scored{path.suffix}")
    beside = events or target.with_name(f"{target.stem}.events.csv")
    _check_targets(path, target, beside)
    detector = at_level(find_detector(model), level, "--threshold")
    table = open_table(path)
    top = _free_places(table, detector, top)
    with written_whole(target, beside) as (rows_draft, events_draft):
        tally = _write(detector, table, (rows_draft, events_draft), top, reading)
    ends = sorted({f"{end:.6g}" for end in (tally.lowest_level, tally.highest_level)}, key=float)
    click.echo(
        f"{tally.flagged} of {tally.rows} rows flagged (threshold {' to '.join(ends)}, {detector.threshold.method}); "
        f"{tally.rows - tally.scored} rows have no score"
    )
    click.echo(f"file: {target}")
    click.echo(f"events: {beside} ({tally.events})")


def find_detector(model: str) -> Detector:
    """Returns the detector behind a folder, or behind a URI, for which the tracking store is opened."""
    if Path(model).is_dir():
        read_settings()
    else:
        open_place()
    return load_detector(model)


def judged(detector: Detector, table: TableFile, reading: Reading) -> Iterator[tuple[Piece | None, Verdicts]]:
    """Yields the pieces of a file with the verdicts that each made final, then None with those of its end.

    Raises:
        DataError: naming file, rows and column of whatever is no row of this detector; if not one row gets a score.
    """
    features = detector.scorer.features
    check_columns(table, features if reading.time is None else (*features, reading.time))
    stream, scored = Stream(detector, StreamPolicy(step_seconds=reading.step, fill_to=BATCH)), 0
    latest = None
    for piece in watched(table, reading.rows_at_once):
        source = f"{table.path}, rows {piece.first_row}-{piece.first_row + len(piece) - 1}"
        values, times = to_values(piece.columns(features), features, source), None
        if reading.time is not None:
            times = to_times(piece.columns([reading.time])[reading.time], source)
            _check_order(table.path, reading.time, piece, times, latest)
            latest = times[-1]
        verdicts = stream.push(values, times)
        scored += int((~np.isnan(verdicts.scores)).sum())
        yield piece, verdicts
    if not scored:
        needed = detector.scorer.rows_before + detector.scorer.rows_after + 1
        raise DataError(
            f"{table.path}: a score needs at least {needed} consecutive rows, but it has {stream.rows}"
            f"{', with gaps' if stream.rows >= needed else ''}; give more rows"
        )
    yield None, stream.finish()


def _check_order(path: Path, name: str, piece: Piece, times: Times, latest: np.datetime64 | None) -> None:
    late = np.diff(times, prepend=times[:1] if latest is None else latest) <= np.timedelta64(0)
    late[:1] &= latest is not None
    if late.any():
        place = int(late.argmax())
        raise DataError(
            f"{path}: column {name!r} must ascend, but row {piece.first_row + place} has {piece.texts(name)[place]!r}, which is "
            f"not after the row above; sort the file, or score without --time"
        )


def check_columns(table: TableFile, names: Sequence[str]) -> None:
    """Raises `DataError` unless a file has all these columns."""
    absent = [name for name in names if name not in table.names]
    if absent:
        raise DataError(f"{table.path}: column {absent[0]!r} is missing; it has {table.names}")


def watched(table: TableFile, rows_at_once: int) -> Iterator[Piece]:
    """Yields the pieces of a file, with a progress bar on a terminal."""
    with tqdm(total=table.size, unit=table.unit, unit_scale=True, desc=table.path.name, disable=None) as bar:
        for piece in table.pieces(rows_at_once):
            yield piece
            bar.update(piece.size)


@dataclass
class _Tally:
    """What is told of a file at the end."""

    rows: int = 0
    scored: int = 0
    flagged: int = 0
    events: int = 0
    lowest_level: float = np.inf
    highest_level: float = -np.inf

    def add(self, verdicts: Verdicts) -> None:
        self.rows += len(verdicts.rows)
        self.scored += int((~np.isnan(verdicts.scores)).sum())
        self.flagged += int(verdicts.flags.sum())
        self.lowest_level = float(verdicts.levels.min(initial=self.lowest_level))
        self.highest_level = float(verdicts.levels.max(initial=self.highest_level))


def _write(detector: Detector, table: TableFile, drafts: tuple[Path, Path], top: int, reading: Reading) -> _Tally:
    """Writes rows and events as they become final."""
    features = detector.scorer.features
    tally, events, times = _Tally(), Events(features, top), list[str]()
    with _writer(table, drafts[0], features) as writer, drafts[1].open("w", encoding="utf-8", newline="") as file:
        _tell(events.close(), file, table.layout, header=True)
        for piece, verdicts in judged(detector, table, reading):
            if piece is not None:
                writer.keep(piece)
                times += [] if reading.time is None else piece.texts(reading.time)
            final = len(verdicts.rows)
            found = (verdicts.scores, verdicts.flags, verdicts.by_feature)
            writer.write(verdict_table(*found, features, top))
            ended = [events.take(verdicts.rows, None if reading.time is None else times[:final], *found)]
            ended += [events.close()] if piece is None else []
            for stretches in filter(len, ended):
                _tell(stretches, file, table.layout, header=False)
                tally.events += len(stretches)
            del times[:final]
            tally.add(verdicts)
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
    taken = [name for name in verdict_columns(features, TOP if top is None else top) if name in table.names]
    if taken and (top is not None or taken[0] in {"score", "flag"}):
        raise DataError(f"{table.path}: has a column {taken[0]!r} already; rename it, so that the new one has a place")
    if taken:
        click.echo(f"{table.path} has a column {taken[0]!r} already, so no features that explain a row are named")
        return 0
    return TOP if top is None else top
