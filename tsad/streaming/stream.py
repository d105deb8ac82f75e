"""A stream: a detector that gets its rows little by little and gives the scores and flags of the batch."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tsad.arrays import Times, Values
from tsad.data.io.values import Frame, to_values
from tsad.detector.detector import Detector
from tsad.detector.scoring import Scores
from tsad.errors import DataError, DetectorError, stop_if_asked
from tsad.series import Series
from tsad.spec import parse
from tsad.streaming import storage
from tsad.streaming.policy import RowPlan, Silence, StreamPolicy, moment
from tsad.streaming.state import AnySegmentState, no_scores, start
from tsad.thresholds import FittedThreshold

CHUNK = 4096
"""Rows that are scored at once: a longer push needs no more memory than its rows and its scores."""

_ENOUGH = 10**9
"""No limit of gaps: the rows were taken before."""

_REPEAT = -1
"""The number of a repeated row."""


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Rows that became final with one push: n rows, oldest first.

    Attributes:
        rows: (n,) int64, their numbers, 0 for the first row of the stream; rows that were dropped have none.
        scores: (n,) float64, NaN where there is none: at the beginning of a segment and, with `over: mean`, at its end.
        thresholds: (n,) float64, above which a score is flagged.
        flags: (n,) bool.
        by_feature: (n, F) float64, as `Scores.by_feature`.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    flags: NDArray[np.bool_]
    by_feature: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def none(cls, features: int) -> "ScoredRows":
        """Returns no score at all."""
        nothing = np.empty(0)
        return cls(np.empty(0, np.int64), nothing, nothing, np.empty(0, bool), np.empty((0, features)))

    def since(self, row: int) -> "ScoredRows":
        """Returns those of a row and after."""
        is_later = self.rows >= row
        return ScoredRows(*(getattr(self, field.name)[is_later] for field in fields(self)))

    def then(self, *others: "ScoredRows") -> "ScoredRows":
        """Returns these and those that follow."""
        parts = (self, *others)
        return ScoredRows(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.thresholds for part in parts]),
            np.concatenate([part.flags for part in parts]),
            np.concatenate([part.by_feature for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class _StreamState:
    """State of a stream; a push makes a new one, so one that fails changes nothing.

    Attributes:
        segment_state: State of the scorer in the present segment.
        threshold: Threshold that the next final row is compared with.
        waiting: (W,) int64, numbers of the rows whose score is not known yet.
        rows: Pushed and kept so far.
        dropped: Late ones.
        latest: Nanoseconds since 1970 of the last row that had a time.
        newest: (1, F) the last row of the segment, (0, F) where it has none yet.
    """

    segment_state: AnySegmentState
    threshold: FittedThreshold
    pending: NDArray[np.int64]
    rows: int
    dropped: int
    latest: int | None
    newest: Values

    @classmethod
    def first(cls, detector: Detector) -> "_StreamState":
        nothing = np.empty((0, len(detector.scorer.features)))
        return cls(start(detector.scorer), detector.threshold, np.empty(0, np.int64), 0, 0, None, nothing)

    def advance(self, series: Series, numbers: NDArray[np.int64], fill_to: int) -> tuple[ScoredRows, "_StreamState"]:
        """Returns the scores that rows with these numbers make final."""
        scores, segment_state = self.segment_state.advance(series, fill_to)
        return self._judged(scores, np.concatenate([self.pending, numbers]), segment_state)

    def end(self, detector: Detector) -> tuple[ScoredRows, "_StreamState"]:
        """Returns the scores of the rows that wait, which never get a score, and the beginning of a new segment."""
        scores = no_scores(len(self.pending), len(detector.scorer.features))
        return self._judged(scores, self.pending, start(detector.scorer))

    def _judged(
        self, scores: Scores, numbers: NDArray[np.int64], segment_state: AnySegmentState
    ) -> tuple[ScoredRows, "_StreamState"]:
        final = len(scores.values)
        thresholds, threshold = self.threshold.advance(scores.values)
        is_new = numbers[:final] != _REPEAT
        scored = ScoredRows(
            rows=numbers[:final][is_new],
            scores=scores.values[is_new],
            thresholds=thresholds[is_new],
            flags=(scores.values > thresholds)[is_new],
            by_feature=scores.by_feature[is_new],
        )
        return scored, replace(self, segment_state=segment_state, threshold=threshold, pending=numbers[final:].copy())


class Stream:
    """Scores the rows of a detector as they arrive, with memory that does not grow.

    Scores and flags equal those of `Detector.score` and `Detector.flag` on all rows at once, whatever the chunks, with a
    boundary where a segment began. A stream is not safe for several threads at once.

    Args:
        detector: Detector that scores and flags; its threshold starts from the saved state.
        policy: Handling of late rows and gaps.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from tsad.config import DetectorSpec
        >>> from tsad.fitting import fit_detector
        >>> from tsad.series import Series
        >>> from tsad.spec import parse
        >>> values = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
        >>> rows = Series(values, ("cpu", "memory"))
        >>> spec = parse(DetectorSpec, {"model": {"kind": "l2"}, "window": {"length": 1}}, "example")
        >>> stream = Stream(fit_detector(spec, rows.part(0, 300), rows.part(300, 400)))
        >>> stream.push(pd.DataFrame({"cpu": [0.0, 9.0], "memory": [0.0, 9.0]})).flags.tolist()
        [False, True]
    """

    def __init__(self, detector: Detector, policy: StreamPolicy | None = None) -> None:
        self.detector = detector
        self.policy = policy or StreamPolicy()
        self._stream_state = _StreamState.first(detector)

    @property
    def rows(self) -> int:
        """Rows pushed so far, without those that were dropped."""
        return self._stream_state.rows

    @property
    def dropped(self) -> int:
        """Late rows that were dropped."""
        return self._stream_state.dropped

    @property
    def latest(self) -> int | None:
        """Nanoseconds since 1970 of the last row that had a time; None if none ever had."""
        return self._stream_state.latest

    def push(self, values: Values | Frame, times: Times | None = None) -> ScoredRows:
        """Takes rows in and returns the scores that are final now: of the rows up to `lookahead` before the last one.

        Args:
            values: (n, F) finite values, float32 or float64, columns in the order of the detector's features, or a DataFrame
                that has these columns; n may be 0.
            times: (n,) times of the rows; required if the policy has `step_seconds`.

        Raises:
            DataError: if rows or times are not as they must be, or late; the stream is then as it was before.
        """
        features = self.detector.scorer.features
        if isinstance(values, Frame):
            values = to_values(values, features, "DataFrame")
        if values.ndim == 2 and values.shape[1] != len(features):
            raise DataError(
                f"rows must have the {len(features)} features {list(features)}, in this order, but got {values.shape[1]} columns"
            )
        series = Series(values, features, times=times)
        before = self._stream_state
        plan = self.policy.arrange(times, len(series), before.latest)
        if not len(before.newest):
            plan.filled[:1] = 0  # a segment that begins has no row to repeat
        if not plan.accepted.all():
            series = Series(values[plan.accepted], features)
        stream_state, parts = before, [ScoredRows.none(len(features))]
        for restarts, numbers, rows in _chunks(series, plan, before):
            stop_if_asked()
            if restarts:
                scored, stream_state = stream_state.end(self.detector)
                parts.append(scored)
            scored, stream_state = stream_state.advance(rows, numbers, self.policy.fill_to)
            parts.append(scored)
        self._stream_state = replace(
            stream_state,
            rows=before.rows + len(series),
            dropped=before.dropped + len(values) - len(series),
            latest=plan.latest,
            newest=series.values[-1:].copy() if len(series) else before.newest,
        )
        return parts[0].then(*parts[1:])

    def silence(self, now: np.datetime64) -> Silence | None:
        """Returns the alert that no row has come for `policy.silence` steps; None if the last row is newer, or none ever came.

        Ask it from time to time: a stream that gets no rows has nothing to answer to. Rows end the silence.

        Args:
            now: Present time by the clock of the rows' times.

        Raises:
            DataError: if the policy does not say after how many steps a stream is silent, or `now` is no time.

        Example:
            >>> stream = Stream(detector, StreamPolicy(step_seconds=60, silence=5))  # doctest: +SKIP
            >>> stream.silence(np.datetime64("now"))  # doctest: +SKIP
            Silence(since=numpy.datetime64('2026-03-01T12:00:00.000000000'), seconds=312.0, steps=5)
        """
        if self.policy.silence is None:
            raise DataError(
                "a stream is silent after policy.silence steps without a row, but silence is not set; set it, and step_seconds"
            )
        present, latest = moment(now), self._stream_state.latest
        return None if latest is None else self.policy.silence_at(latest, present)

    def finish(self) -> ScoredRows:
        """Returns the scores of the last `lookahead` rows, which get no score; a row pushed later begins a new segment."""
        scored, stream_state = self._stream_state.end(self.detector)
        self._stream_state = replace(stream_state, newest=stream_state.newest[:0])
        return scored

    @classmethod
    def following(
        cls, detector: Detector, note: storage.Note, returned: int, tail: Series
    ) -> tuple["Stream", ScoredRows]:
        """Returns a stream that goes on, with another detector, where the stream of a note stands.

        The detector meets the tail, the rows right before, so it scores those to come as if it had met all rows, if the tail
        is as long as its `lookback`. No row is scored twice, and none is left out.

        Args:
            detector: The other detector, for the same features.
            note: Note of the stream that ends, as `storage.read` returns it.
            returned: Number of rows whose scores that stream returned.
            tail: Last rows that it took, up to the newest, in its order of features, with the times if there were any.

        Returns:
            The stream, and the scores of rows that the other one had not returned and that are final now.
        """
        first = note.rows - len(tail)
        stream = cls(detector, note.policy.model_copy(update={"most_filled": _ENOUGH, "most_gaps": _ENOUGH}))
        stream._stream_state = replace(stream._stream_state, rows=first, dropped=note.dropped)
        scored = stream.push(tail.values, tail.times)
        after = stream._stream_state
        pending = np.where(after.pending < returned, _REPEAT, after.pending)  # their scores were returned
        latest = note.latest if after.latest is None else after.latest
        stream._stream_state = replace(after, pending=pending, latest=latest)
        stream.policy = note.policy
        lost = np.arange(returned, max(first, returned))
        unknown = _unknown(lost, after.threshold, len(detector.scorer.features))
        return stream, unknown.then(scored.since(returned))

    def save(self, folder: Path) -> None:
        """Writes `stream.safetensors` into `folder`, made if absent; a kill leaves the file of before or the new one."""
        now, fitted = self._stream_state, self.detector.threshold
        moved = {name for name in type(fitted).model_fields if getattr(now.threshold, name) != getattr(fitted, name)}
        note = storage.Note(
            detector=self.detector.digest,
            policy=self.policy,
            threshold=now.threshold.model_dump(mode="json", include=moved),
            seen=now.segment_state.seen,
            rows=now.rows,
            dropped=now.dropped,
            latest=now.latest,
        )
        storage.write(folder, note, now.segment_state.arrays() | {"pending": now.pending, "newest": now.newest})

    @classmethod
    def load(cls, folder: Path, detector: Detector) -> "Stream":
        """Returns the stream that `save` wrote, which goes on as if nothing had happened.

        Raises:
            DetectorError: if the file is missing, damaged, or of a stream of another detector.
        """
        note, arrays = storage.read(folder)
        if note.detector != detector.digest:
            raise DetectorError(
                f"{folder}: the state must be of this detector, {detector.digest[:12]}, but is of {note.detector[:12]}; "
                f"load it with the one it was saved with, or begin anew"
            )
        fitted = detector.threshold
        stream = cls(detector, note.policy)
        stream._stream_state = _StreamState(
            segment_state=start(detector.scorer).at(note.seen, arrays),
            threshold=parse(type(fitted), fitted.model_dump(mode="json") | note.threshold, str(folder)),
            pending=arrays["pending"],
            rows=note.rows,
            dropped=note.dropped,
            latest=note.latest,
            newest=arrays["newest"],
        )
        return stream


def _unknown(rows: NDArray[np.int64], threshold: FittedThreshold, features: int) -> ScoredRows:
    """Returns rows that nobody can score any more."""
    scores = np.full(len(rows), np.nan)
    thresholds, _ = threshold.advance(scores)
    return ScoredRows(rows, scores, thresholds, np.zeros(len(rows), bool), np.full((len(rows), features), np.nan))


def _chunks(series: Series, plan: RowPlan, before: _StreamState) -> Iterator[tuple[bool, NDArray[np.int64], Series]]:
    """Yields whether a segment begins, and the numbers and values of rows, repeats among them, in bounded chunks."""
    ends = np.cumsum(plan.filled + 1)  # where each row stands among rows and repeats, plus 1
    for first in range(0, int(ends[-1]) if len(ends) else 0, CHUNK):
        positions = np.arange(first, min(first + CHUNK, int(ends[-1])))
        rows = np.searchsorted(ends, positions, side="right")
        real = positions == ends[rows] - 1
        source = rows - ~real
        values = series.values[source]
        values[source < 0] = before.newest
        numbers = np.where(real, before.rows + rows, _REPEAT)
        edges = [0, *np.flatnonzero(real & plan.restarts[rows]), len(positions)]
        for index, (begin, after) in enumerate(pairwise(edges)):
            if begin < after:
                yield index > 0, numbers[begin:after], Series(values[begin:after], series.features)
