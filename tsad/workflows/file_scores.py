"""Scores of the rows of a file, chunk by chunk where its reading allows it, or of all rows at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tsad.arrays import Values
from tsad.data.io.issues import FatalIssueError, Issues
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.reading import read_file, to_series
from tsad.data.io.regular import FileRows, gap_seconds
from tsad.data.io.row_chunks import row_chunks
from tsad.data.io.table_files import Chunk, TableFile
from tsad.detector.detector import Detector
from tsad.detector.scoring import BATCH
from tsad.errors import DataError
from tsad.fleet import Fleet
from tsad.parallel import TaskOptions, run_tasks
from tsad.series import Series
from tsad.streaming import ScoredRows, Stream, StreamPolicy
from tsad.workflows.events import Message, OnEvent
from tsad.workflows.file_rows import read_chunks

Judge = Detector | Fleet
"""Scorer of the rows of a file: one detector, or a fleet with a detector for each entity."""


def features_of(judge: Judge) -> tuple[str, ...]:
    """Returns the names of the features."""
    return judge.features if isinstance(judge, Fleet) else judge.scorer.features


def scored_chunks(
    detector: Detector, table: TableFile, read_options: ReadOptions, rows_at_once: int, on_event: OnEvent
) -> Iterator[tuple[Chunk | None, ScoredRows]]:
    """Yields the chunks of a file with the scores that each made final, in the order of the file; then None with the last ones.

    Raises:
        DataError: naming file, rows and column of whatever is no row of this detector; if no row gets a score.
    """
    if not read_options.is_streamable:
        yield from WholeFile.read(detector, table.path, read_options, on_event).chunks(table, rows_at_once, on_event)
        return
    stream, count, blanks = Stream(detector, _policy(read_options)), 0, _Blanks()
    chunks = read_chunks(table, rows_at_once, on_event)
    for rows in row_chunks(table, chunks, detector.scorer.features, read_options):
        scored = stream.push(rows.values, rows.times)
        count += int((~np.isnan(scored.scores)).sum())
        yield rows.chunk, blanks.put_between(scored, rows.blank)
    if not count:
        raise _too_few(table.path, detector, stream.rows)
    if blanks.count:
        on_event(Message(f"{table.path}: {blanks.count} rows without any cell were left out and have no score"))
    yield None, blanks.put_between(stream.finish(), None)


def scored_values(
    detector: Detector, table: TableFile, read_options: ReadOptions, rows_at_once: int, on_event: OnEvent
) -> Iterator[tuple[Values, ScoredRows]]:
    """Yields the (n, F) rows of a file as a detector sees them, in the order of their times, and the scores made final.

    Raises:
        DataError: naming file, rows and column of whatever is no row of this detector.
    """
    if not read_options.is_streamable:
        whole = WholeFile.read(detector, table.path, read_options, on_event)
        yield detector.scorer.scaler.rounded(whole.series.values), whole.scored
        return
    stream = Stream(detector, _policy(read_options))
    chunks = read_chunks(table, rows_at_once, on_event)
    for rows in row_chunks(table, chunks, detector.scorer.features, read_options):
        yield detector.scorer.scaler.rounded(rows.values), stream.push(rows.values, rows.times)


def _policy(read_options: ReadOptions) -> StreamPolicy:
    """Returns the policy by which a stream begins a segment where training put a boundary."""
    if read_options.time is None or read_options.step_seconds is None:
        return StreamPolicy(fill_to=BATCH)
    tolerance = gap_seconds(read_options.gap, read_options.step_seconds) / read_options.step_seconds - 1
    return StreamPolicy(step_seconds=read_options.step_seconds, tolerance=tolerance, fill_to=BATCH)


def _too_few(path: Path, detector: Detector, rows: int) -> DataError:
    needed = detector.scorer.lookback + detector.scorer.lookahead + 1
    return DataError(
        f"{path}: a score needs at least {needed} consecutive rows, but it has {rows}"
        f"{', with gaps' if rows >= needed else ''}; give more rows"
    )


class _Blanks:
    """Rows of a file without any cell, which a stream never sees, put back among the scored rows."""

    def __init__(self) -> None:
        self._pending = np.empty(0, bool)
        self._first = 0
        self.count = 0

    def put_between(self, scored: ScoredRows, blank: NDArray[np.bool_] | None) -> ScoredRows:
        """Returns the scored rows with blank ones, which have no score, between them, numbered as the file does.

        Args:
            scored: Rows that became final.
            blank: (n,) True where a row that came now is blank; None at the end of the file.
        """
        self._pending = self._pending if blank is None else np.concatenate([self._pending, blank])
        self.count += 0 if blank is None else int(blank.sum())
        seen = np.cumsum(~self._pending)
        final = int(np.searchsorted(seen, len(scored), side="right")) if blank is not None else len(self._pending)
        mask, self._pending = self._pending[:final], self._pending[final:]
        first, self._first = self._first, self._first + final
        numbers = np.arange(first, first + final)
        if not mask.any():
            return replace(scored, rows=numbers)
        positions = np.where(mask, -1, np.cumsum(~mask) - 1)
        return _gathered(scored, positions, numbers)


def _gathered(scored: ScoredRows, positions: NDArray[np.int64], numbers: NDArray[np.int64]) -> ScoredRows:
    """Returns the scored rows at positions, without a score where one is negative."""
    out = positions < 0
    if out.all():
        empty = np.full(len(out), np.nan)
        by_feature = np.full((len(out), scored.by_feature.shape[1]), np.nan)
        return ScoredRows(numbers, empty, empty, np.zeros(len(out), bool), by_feature)
    taken = np.maximum(positions, 0)
    return ScoredRows(
        rows=numbers,
        scores=np.where(out, np.nan, scored.scores[taken]),
        thresholds=scored.thresholds[taken],
        flags=scored.flags[taken] & ~out,
        by_feature=np.where(out[:, None], np.nan, scored.by_feature[taken]),
    )


@dataclass(frozen=True, eq=False)
class WholeFile:
    """Scores of a file whose rows are sorted, merged, inserted or grouped before they are scored.

    Attributes:
        rows: Rows after that, in the order of their entities and times.
        series: The same rows as a detector takes them.
        scored: Their scores; `rows` are the numbers of the rows in the file.
    """

    rows: FileRows
    series: Series
    scored: ScoredRows

    @classmethod
    def read(
        cls,
        judge: Judge,
        path: Path,
        read_options: ReadOptions,
        on_event: OnEvent,
        tasks: TaskOptions | None = None,
    ) -> "WholeFile":
        """Returns the scores of a file; each repair of its rows is reported in a message.

        Args:
            judge: Detector of all rows, or fleet whose detectors score the rows of their entities.
            path: Path of the file.
            read_options: How its rows are read.
            on_event: Callback for messages.
            tasks: How entities are scored side by side; None scores them one after the other in this process.

        Raises:
            DataError: naming file, rows and column of whatever is no row of this detector; if an entity is unknown; if no row
                gets a score.
        """
        issues = Issues(str(path))
        spec = read_options.for_scoring()
        rows, features = read_file(path, spec, issues, read_options.step_seconds)
        if issues.items:
            raise FatalIssueError(issues.items[0])
        for repair in issues.repairs:
            on_event(Message(repair))
        series = to_series(rows, features, spec)
        if series.features != features_of(judge):
            raise DataError(f"{path}: must have the features {features_of(judge)}, but has {series.features}")
        names = rows.entities or (("", 0),)
        if isinstance(judge, Fleet):
            judge.check((name for name, _ in names), str(path))
        edges = [*(first for _, first in names), len(series)]
        inputs = {
            name: partial(_part_of, judge, name, series, rows, edge)
            for (name, _), edge in zip(names, pairwise(edges), strict=True)
        }
        parts = _scored_parts(inputs, tasks, path)
        scored = parts[0].then(*parts[1:])
        if not (~np.isnan(scored.scores)).any():
            raise _too_few(path, judge.detector(names[0][0]) if isinstance(judge, Fleet) else judge, len(series))
        return cls(rows, series, scored)

    def chunks(
        self, table: TableFile, rows_at_once: int, on_event: OnEvent
    ) -> Iterator[tuple[Chunk | None, ScoredRows]]:
        """Yields the chunks of the file with the scores of exactly their rows, then None with no scores."""
        first = 0
        for chunk in read_chunks(table, rows_at_once, on_event):
            positions = self.rows.mapping[first : first + len(chunk)]
            positions = np.concatenate([positions, np.full(len(chunk) - len(positions), -1)])  # blank lines at the end
            yield chunk, _gathered(self.scored, positions, np.arange(first, first + len(chunk)))
            first += len(chunk)
        yield None, ScoredRows.none(len(self.series.features))

    def entity_parts(self) -> Iterator[tuple[str, ScoredRows]]:
        """Yields the name and the scores of each entity; the empty name for a file without entities."""
        names = self.rows.entities or (("", 0),)
        edges = [*(first for _, first in names), len(self.series)]
        for (name, start), stop in zip(names, edges[1:], strict=True):
            yield name, _gathered(self.scored, np.arange(start, stop), self.scored.rows[start:stop])


@dataclass(frozen=True, eq=False)
class _Part:
    """The rows of one entity, and the detector that scores them."""

    detector: Detector
    series: Series
    numbers: NDArray[np.int64]


def _part_of(judge: Judge, name: str, series: Series, rows: FileRows, edge: tuple[int, int]) -> _Part:
    detector = judge.detector(name) if isinstance(judge, Fleet) else judge
    return _Part(detector, series.part(*edge), rows.numbers[slice(*edge)])


def _scored_parts(inputs: Mapping[str, Callable[[], _Part]], tasks: TaskOptions | None, path: Path) -> list[ScoredRows]:
    """Returns the scores of each entity; the first that fails ends it, because a file is not scored in part."""
    if tasks is None:
        return [_scored(make()) for make in inputs.values()]
    results: dict[str, ScoredRows] = {}
    for ended in run_tasks(_scored, inputs.items(), tasks):
        if ended.result is None:
            raise DataError(f"{path}: {ended.key or 'its rows'} cannot be scored ({ended.error})")
        results[ended.key] = ended.result
    return [results[name] for name in inputs]


def _scored(part: _Part) -> ScoredRows:
    """Returns the scores of the rows of one entity; its threshold starts from the saved state."""
    detector, series, numbers = part.detector, part.series, part.numbers
    lookback = detector.scorer.lookback + detector.scorer.lookahead
    if max(stop - start for start, stop in series.segments()) <= lookback:
        nothing = np.full(len(series), np.nan)
        flags, by_feature = np.zeros(len(series), bool), np.full(series.values.shape, np.nan)
        return ScoredRows(numbers, nothing, detector.threshold.per_row(nothing), flags, by_feature)
    scores = detector.scorer.score(series)
    thresholds = detector.threshold.per_row(scores.values)
    return ScoredRows(numbers, scores.values, thresholds, scores.values > thresholds, scores.by_feature)
