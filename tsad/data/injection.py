"""Injected anomalies: changes of clean rows by which a detector can be evaluated without labels."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator

from tsad.arrays import Flags, Floats, Integers, Values
from tsad.errors import DataError
from tsad.series import Series

AnomalyType = Literal[
    "point", "contextual", "level_shift", "trend", "seasonal", "noise_burst", "flat_line", "decoupling"
]
"""Name of a change that `inject` can make; `CHANGES` says what each does."""

ANOMALY_TYPES: tuple[AnomalyType, ...] = get_args(AnomalyType)
"""Every anomaly type, in a fixed order."""

LONGEST = 200
"""Rows of the longest event, provided that a segment has ten times as many."""
AMPLITUDES = (1.0, 8.0)
"""Range of the size of a change in deviations of its feature, drawn log-uniformly: from hidden in the noise to obvious."""


@dataclass(frozen=True)
class Event:
    """One injected anomaly.

    Attributes:
        anomaly_type: Which change was made.
        start: First changed row.
        stop: Row after the last changed one.
        features: Names of the features that changed, in the order of the series; the values of all others are untouched.
    """

    anomaly_type: AnomalyType
    start: int
    stop: int
    features: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Injected:
    """A series with injected anomalies.

    Attributes:
        series: Rows with the changes; `labels` is True in every row of an event.
        events: Injected anomalies in the order of their rows.
        inner: (T,) True between the margins, in the rows that could become part of an event.
    """

    series: Series
    events: tuple[Event, ...]
    inner: Flags

    @property
    def touched(self) -> Flags:
        """(T,) True in events and in as many rows after each, where a detector with a memory may still give high scores."""
        return self._rows(self.events, refractory=1)

    def of(self, anomaly_type: AnomalyType) -> Flags:
        """Returns (T,) True in the rows of the events of one anomaly type."""
        return self._rows([event for event in self.events if event.anomaly_type == anomaly_type], refractory=0)

    def _rows(self, events: Sequence[Event], *, refractory: int) -> Flags:
        """Returns True in events and in `refractory` times their length of rows after each."""
        rows = np.zeros(len(self.series), bool)
        for event in events:
            rows[event.start : event.stop + refractory * (event.stop - event.start)] = True
        return rows


@dataclass(frozen=True, eq=False)
class ContextWindow:
    """The n rows of f features that an event changes, within their segment of R rows.

    Attributes:
        segment: (R, f) values before the event.
        start: First row of the event in the segment.
        length: Rows of the event, n.
        amplitude: (f,) size and direction of the change in units of the feature, a in the formulas of the anomaly types.
    """

    segment: Floats
    start: int
    length: int
    amplitude: Floats

    @property
    def rows(self) -> Floats:
        """(n, f) values that the event changes, x in the formulas."""
        return self.segment[self.start : self.start + self.length]


Change = Callable[[ContextWindow, Generator], Floats]
"""Returns the (n, f) values of an event; the generator draws what is random in them."""


def shift(context: ContextWindow, generator: Generator) -> Floats:
    """Returns x + a: a point if it lasts one row, else a shift of the level."""
    return context.rows + context.amplitude


def contextual(context: ContextWindow, generator: Generator) -> Floats:
    """Returns x moved by |a| towards the farther end of the range of the feature in the segment, but not past that end.

    Each value lies in the normal range; only its context makes it anomalous.
    """
    low, high = context.segment.min(axis=0), context.segment.max(axis=0)
    upwards = high - context.rows > context.rows - low
    size = np.abs(context.amplitude)
    changed: Floats = np.where(upwards, np.minimum(context.rows + size, high), np.maximum(context.rows - size, low))
    return changed


def trend(context: ContextWindow, generator: Generator) -> Floats:
    """Returns x(t) + a t / n for t = 1 to n: the drift ends at a, and the feature falls back after it."""
    return context.rows + context.amplitude * np.arange(1, context.length + 1)[:, None] / context.length


def seasonal(context: ContextWindow, generator: Generator) -> Floats:
    """Returns x(t) + a sin(2 pi t / p) for t = 1 to n, with a period p between 3 and n, log-uniform: a foreign rhythm."""
    period = _log_uniform((3, max(3, context.length)), generator)
    wave: Floats = np.sin(2 * np.pi * np.arange(1, context.length + 1) / period)
    return context.rows + context.amplitude * wave[:, None]


def noise_burst(context: ContextWindow, generator: Generator) -> Floats:
    """Returns x + a e with e standard normal, drawn anew for each cell."""
    return context.rows + context.amplitude * generator.standard_normal(context.rows.shape)


def flat_line(context: ContextWindow, generator: Generator) -> Floats:
    """Returns x(1) in all rows: the feature is stuck at its first value."""
    return context.rows[:1].repeat(context.length, axis=0)


def decoupling(context: ContextWindow, generator: Generator) -> Floats:
    """Returns the same features at another time of the segment, at least n rows away, so R must be at least 3 n.

    The features keep their shape and their relation to each other and lose their relation to the other features.
    """
    starts = np.arange(len(context.segment) - context.length + 1)
    source = int(generator.choice(starts[np.abs(starts - context.start) >= context.length]))
    return context.segment[source : source + context.length]


CHANGES: Mapping[AnomalyType, Change] = {
    "point": shift,
    "contextual": contextual,
    "level_shift": shift,
    "trend": trend,
    "seasonal": seasonal,
    "noise_burst": noise_burst,
    "flat_line": flat_line,
    "decoupling": decoupling,
}
"""Change that each anomaly type makes to the values of an event."""


def inject(
    series: Series,
    anomaly_types: Sequence[AnomalyType],
    anomaly_ratio: float,
    generator: Generator,
    *,
    margin: int = 0,
    longest: int = LONGEST,
) -> Injected:
    """Returns a copy of the rows with events in it, the anomaly types in turn.

    A point lasts one row. Any other event lasts, log-uniform, up to a tenth of the longest stretch between margins, at least
    4 rows and at most `longest`, and no less than a seventh of that. It lies in one segment of at least three times its
    length, and between two events lie at least as many rows as the shorter has. It changes a random set of features, from a
    fifth of those that vary up to all of them, small sets more often. Its size is one of `AMPLITUDES` times the deviation of
    the feature, with a random sign for each feature.

    The deviation is 1.4826 times the median distance from the median, or the standard deviation of a feature that is
    constant more than half of the time. A feature that never varies has no deviation and is left alone. An event that would
    change nothing, such as a flat line where all its features are flat, is not injected.

    Args:
        series: (T, F) rows that are taken as normal; their labels are not read.
        anomaly_types: At least one anomaly type; all are used in a random order, then again in another order.
        anomaly_ratio: Fraction of the rows between the margins that become anomalous, above 0 and at most 0.3: reached, or
            exceeded by less than one event; missed only if no further event has room or changes anything.
        generator: Draws everything that is random.
        margin: Rows at either end of each segment that no event changes, at most a third of the segment.
        longest: Rows of the longest event, at least 4.

    Raises:
        ValueError: if there is no anomaly type, or the ratio is not in its range.
        DataError: if no feature varies, or no event has room.

    Example:
        >>> rows = Series(np.random.default_rng(0).standard_normal((500, 2)).astype(np.float32), ("load", "heat"))
        >>> injected = inject(rows, ["point"], 0.01, np.random.default_rng(1))
        >>> [(event.anomaly_type, event.stop - event.start) for event in injected.events] == [("point", 1)] * 5
        True
        >>> int(injected.series.labels.sum())
        5
    """
    if not anomaly_types or not 0 < anomaly_ratio <= 0.3:
        raise ValueError(
            f"injection needs an anomaly type and a ratio above 0 and up to 0.3, but got anomaly_types={list(anomaly_types)} "
            f"and anomaly_ratio={anomaly_ratio}; take some of {', '.join(ANOMALY_TYPES)} and a ratio such as 0.1"
        )
    canvas = _Canvas(series, margin, longest)
    inner = ~canvas.occupied
    anomalous_rows = anomaly_ratio * int(inner.sum())
    for anomaly_type in _in_turn(anomaly_types, generator, 2 * math.ceil(anomalous_rows)):
        if canvas.labels.sum() >= anomalous_rows:
            break
        canvas.inject_event(anomaly_type, generator)
    if not canvas.events:
        raise DataError(
            f"none of {list(anomaly_types)} has room in {len(series)} rows, or changes anything there; give more rows, or "
            f"rows in which more features vary"
        )
    changed = replace(series, values=canvas.values, labels=canvas.labels)
    return Injected(changed, tuple(sorted(canvas.events, key=lambda event: event.start)), inner)


def deviations(values: Values) -> Floats:
    """Returns the (F,) deviation of each feature by the rule of `inject`, 0 for one that never varies."""
    wide = values.astype(np.float64)
    robust = 1.4826 * np.median(np.abs(wide - np.median(wide, axis=0)), axis=0)
    deviation: Floats = np.where(robust > 0, robust, wide.std(axis=0))
    return np.where(np.ptp(values, axis=0) > 0, deviation, 0.0)


class _Canvas:
    """Rows into which events are injected one by one.

    Attributes:
        values: (T, F) values after the events so far.
        labels: (T,) True in events.
        occupied: (T,) True where no further event may lie.
        events: Events injected so far.
    """

    def __init__(self, series: Series, margin: int, longest: int) -> None:
        self._series = series
        self._deviation = deviations(series.values)
        self._varying = np.flatnonzero(self._deviation)
        if not len(self._varying):
            raise DataError(
                f"injected anomalies are measured by the deviation of a feature, but all {len(series.features)} features "
                f"are constant in these {len(series)} rows; give rows in which one varies"
            )
        self.values = series.values.copy()
        self.labels = np.zeros(len(series), bool)
        self.occupied = np.ones(len(series), bool)
        stretch = 0
        for first, after in series.segments():
            edge = min(margin, (after - first) // 3)
            self.occupied[first + edge : after - edge] = False
            stretch = max(stretch, after - first - 2 * edge)
        self.events: list[Event] = []
        longest = min(longest, max(4, stretch // 10))
        self._lengths = (max(2, longest // 7), longest)

    def inject_event(self, anomaly_type: AnomalyType, generator: Generator) -> None:
        """Injects an event of a type, unless there is no room for it or it would change nothing."""
        length = 1 if anomaly_type == "point" else round(_log_uniform(self._lengths, generator))
        starts = self._starts(length)
        if not len(starts):
            return
        start = int(generator.choice(starts))
        first, after = next(edges for edges in self._series.segments() if start < edges[1])
        features = self._features(generator)
        size = _log_uniform(AMPLITUDES, generator) * generator.choice([-1.0, 1.0], len(features))
        segment = self._series.values[first:after, features].astype(np.float64)
        context = ContextWindow(segment, start - first, length, size * self._deviation[features])
        self._apply(anomaly_type, start, features, CHANGES[anomaly_type](context, generator).astype(self.values.dtype))

    def _apply(self, anomaly_type: AnomalyType, start: int, features: Integers, rows: Values) -> None:
        stop = start + len(rows)
        changed = features[(rows != self.values[start:stop, features]).any(axis=0)]
        if not len(changed):
            return
        self.values[start:stop, features] = rows
        self.labels[start:stop] = True
        self.occupied[max(0, start - len(rows)) : stop + len(rows)] = True
        self.events.append(
            Event(anomaly_type, start, stop, tuple(self._series.features[feature] for feature in changed))
        )

    def _starts(self, length: int) -> Integers:
        """Returns the rows at which an event of this length may start, in segments of at least three times its length."""
        starts = [np.empty(0, np.int64)]
        for first, after in self._series.segments():
            if after - first >= 3 * length:
                starts.append(
                    first + np.flatnonzero(~sliding_window_view(self.occupied[first:after], length).any(axis=1))
                )
        return np.concatenate(starts)

    def _features(self, generator: Generator) -> Integers:
        count = round(_log_uniform((max(1, len(self._varying) // 5), len(self._varying)), generator))
        return np.sort(generator.choice(self._varying, count, replace=False))


def _in_turn(anomaly_types: Sequence[AnomalyType], generator: Generator, count: int) -> Iterator[AnomalyType]:
    for turn in range(count):
        if turn % len(anomaly_types) == 0:
            order = generator.permutation(len(anomaly_types))
        yield anomaly_types[order[turn % len(anomaly_types)]]


def _log_uniform(edges: tuple[float, float], generator: Generator) -> float:
    return float(np.exp(generator.uniform(*np.log(edges))))
