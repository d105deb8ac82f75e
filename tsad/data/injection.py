"""Anomalies put into rows that have none, so that a detector can be judged where nobody labeled anything."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator
from numpy.typing import NDArray

from tsad.arrays import Flags, Floats
from tsad.errors import DataError
from tsad.series import Series

Features = NDArray[np.int64]

AnomalyType = Literal[
    "point", "contextual", "level_shift", "trend", "seasonal", "noise_burst", "flat_line", "decoupling"
]
ANOMALY_TYPES: tuple[AnomalyType, ...] = get_args(AnomalyType)

LONGEST = 200
"""Rows of the longest event, where a segment has ten times as many."""
AMPLITUDES = (1.0, 8.0)
"""Size of a change in deviations of its feature, log-uniform: from lost in the noise to plain to see."""


@dataclass(frozen=True)
class Event:
    """One injected anomaly.

    Attributes:
        anomaly_type: What was done to the rows.
        start: First row.
        stop: Row after the last.
        features: Names of the features that changed, in the order of the series; in no other did a value change.
    """

    anomaly_type: AnomalyType
    start: int
    stop: int
    features: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Injected:
    """Rows with anomalies in them.

    Attributes:
        series: The rows, True in `labels` in every row of an event.
        events: In the order of their rows.
        inner: (T,) True between the margins, where events could come to lie.
    """

    series: Series
    events: tuple[Event, ...]
    inner: Flags

    @property
    def touched(self) -> Flags:
        """(T,) True in events and in as many rows after each, which a detector with a memory may still find strange."""
        return self._rows(self.events, echo=1)

    def of(self, anomaly_type: AnomalyType) -> Flags:
        """Returns (T,) True in the events of one anomaly type."""
        return self._rows([event for event in self.events if event.anomaly_type == anomaly_type], echo=0)

    def _rows(self, events: Sequence[Event], *, echo: int) -> Flags:
        rows = np.zeros(len(self.series), bool)
        for event in events:
            rows[event.start : event.stop + echo * (event.stop - event.start)] = True
        return rows


@dataclass(frozen=True, eq=False)
class Site:
    """What an event meets: n rows of f features in a segment of R rows.

    Attributes:
        segment: (R, f) before the event.
        start: First row of the event in the segment.
        length: Rows of the event, n.
        height: (f,) size and direction of the change in units of the feature, a in the formulas of the anomaly types.
    """

    segment: Floats
    start: int
    length: int
    height: Floats

    @property
    def rows(self) -> Floats:
        """(n, f) rows that the event changes, x in the formulas."""
        return self.segment[self.start : self.start + self.length]


Change = Callable[[Site, Generator], Floats]


def shift(site: Site, generator: Generator) -> Floats:
    """Returns x + a: a point if it lasts one row, else a shift of the level."""
    return site.rows + site.height


def contextual(site: Site, generator: Generator) -> Floats:
    """Returns x moved by |a| towards the farther end of what the feature reaches in the segment, and not past that end.

    No value is new; it is out of place.
    """
    low, high = site.segment.min(axis=0), site.segment.max(axis=0)
    upwards = high - site.rows > site.rows - low
    size = np.abs(site.height)
    moved: Floats = np.where(upwards, np.minimum(site.rows + size, high), np.maximum(site.rows - size, low))
    return moved


def trend(site: Site, generator: Generator) -> Floats:
    """Returns x(t) + a t / n for t = 1 to n: the drift ends at a, and the feature falls back after it."""
    return site.rows + site.height * np.arange(1, site.length + 1)[:, None] / site.length


def seasonal(site: Site, generator: Generator) -> Floats:
    """Returns x(t) + a sin(2 pi t / p) for t = 1 to n, with a period p between 3 and n, log-uniform: a foreign rhythm."""
    period = _log_uniform((3, max(3, site.length)), generator)
    wave: Floats = np.sin(2 * np.pi * np.arange(1, site.length + 1) / period)
    return site.rows + site.height * wave[:, None]


def noise_burst(site: Site, generator: Generator) -> Floats:
    """Returns x + a e with e standard normal, each entry its own."""
    return site.rows + site.height * generator.standard_normal(site.rows.shape)


def flat_line(site: Site, generator: Generator) -> Floats:
    """Returns x(1) in all rows: the feature stands still, its first value is as it was."""
    return site.rows[:1].repeat(site.length, axis=0)


def decoupling(site: Site, generator: Generator) -> Floats:
    """Returns the same features at another time of the segment, at least n rows away, so R must be at least 3 n.

    They keep their shape and their relation to each other and lose that to the other features.
    """
    starts = np.arange(len(site.segment) - site.length + 1)
    source = int(generator.choice(starts[np.abs(starts - site.start) >= site.length]))
    return site.segment[source : source + site.length]


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
"""What each anomaly type does to the rows of an event."""


def inject(
    series: Series,
    anomaly_types: Sequence[AnomalyType],
    share: float,
    generator: Generator,
    *,
    margin: int = 0,
    longest: int = LONGEST,
) -> Injected:
    """Returns a copy of the rows with events in it, the anomaly types in turn.

    A point lasts one row. Any other event lasts, log-uniform, up to a tenth of the longest stretch between margins, at least
    4 rows and at most `longest`, and no less than a seventh of that. It lies in one segment of three times its length, and
    between two events lie at least as many rows as the shorter has. It touches a random set of features, of a fifth of
    those that move up to all, small sets more often. Its size is one of `AMPLITUDES` times the feature's deviation, the sign
    random for each feature.

    The deviation is 1.4826 times the median distance from the median, or the standard deviation of a feature that rests
    more than half of the time. A feature that never moves has no size to measure by and is left alone. An event that would
    change nothing, such as a flat line where all its features are flat, is not made.

    Args:
        series: (T, F) rows that are taken as normal; labels are not read.
        anomaly_types: At least one; they come in a random order, then again in another.
        share: Of the rows between margins that become anomalous, above 0 and up to 0.3: reached, or passed by less than one
            event; missed only if no further event finds room or changes anything.
        generator: Draws everything.
        margin: Rows at either end of each segment that no event touches, at most a third of it.
        longest: Rows of the longest event, at least 4.

    Raises:
        ValueError: if there is no anomaly type, or the share is not in its range.
        DataError: if no feature moves, or no event finds room.
    """
    if not anomaly_types or not 0 < share <= 0.3:
        raise ValueError(
            f"injection needs an anomaly type and a share above 0 and up to 0.3, but got anomaly_types={list(anomaly_types)} and share={share}; "
            f"take some of {', '.join(ANOMALY_TYPES)} and a share such as 0.1"
        )
    ground = _Ground(series, margin, longest)
    inner = ~ground.taken
    wanted = share * int(inner.sum())
    for anomaly_type in _in_turn(anomaly_types, generator, 2 * math.ceil(wanted)):
        if ground.labels.sum() >= wanted:
            break
        ground.disturb(anomaly_type, generator)
    if not ground.events:
        raise DataError(
            f"none of {list(anomaly_types)} finds room in {len(series)} rows, or changes anything there; give more rows, or ones in "
            f"which more features move"
        )
    changed = replace(series, values=ground.values, labels=ground.labels)
    return Injected(changed, tuple(sorted(ground.events, key=lambda event: event.start)), inner)


def deviations(values: NDArray[np.float32]) -> Floats:
    """Returns the (F,) deviation of each feature by the rule of `inject`, 0 if it never moves."""
    wide = values.astype(np.float64)
    robust = 1.4826 * np.median(np.abs(wide - np.median(wide, axis=0)), axis=0)
    found: Floats = np.where(robust > 0, robust, wide.std(axis=0))
    return np.where(np.ptp(values, axis=0) > 0, found, 0.0)


class _Ground:
    """Rows that events are being put into.

    Attributes:
        values: (T, F) as they stand.
        labels: (T,) True in events.
        taken: (T,) True where no further event may lie.
        events: Those made so far.
    """

    def __init__(self, series: Series, margin: int, longest: int) -> None:
        self._series = series
        self._deviation = deviations(series.values)
        self._moving = np.flatnonzero(self._deviation)
        if not len(self._moving):
            raise DataError(
                f"injected anomalies are measured by the deviation of a feature, but all {len(series.features)} features "
                f"are constant in these {len(series)} rows; give rows in which one moves"
            )
        self.values = series.values.copy()
        self.labels = np.zeros(len(series), bool)
        self.taken = np.ones(len(series), bool)
        stretch = 0
        for first, after in series.segments():
            edge = min(margin, (after - first) // 3)
            self.taken[first + edge : after - edge] = False
            stretch = max(stretch, after - first - 2 * edge)
        self.events: list[Event] = []
        longest = min(longest, max(4, stretch // 10))
        self._lengths = (max(2, longest // 7), longest)

    def disturb(self, anomaly_type: AnomalyType, generator: Generator) -> None:
        """Makes an event, if there is room and anything changes."""
        length = 1 if anomaly_type == "point" else round(_log_uniform(self._lengths, generator))
        starts = self._starts(length)
        if not len(starts):
            return
        start = int(generator.choice(starts))
        first, after = next(edges for edges in self._series.segments() if start < edges[1])
        features = self._features(generator)
        size = _log_uniform(AMPLITUDES, generator) * generator.choice([-1.0, 1.0], len(features))
        segment = self._series.values[first:after, features].astype(np.float64)
        site = Site(segment, start - first, length, size * self._deviation[features])
        self._put(anomaly_type, start, features, CHANGES[anomaly_type](site, generator).astype(np.float32))

    def _put(self, anomaly_type: AnomalyType, start: int, features: Features, rows: NDArray[np.float32]) -> None:
        stop = start + len(rows)
        changed = features[(rows != self.values[start:stop, features]).any(axis=0)]
        if not len(changed):
            return
        self.values[start:stop, features] = rows
        self.labels[start:stop] = True
        self.taken[max(0, start - len(rows)) : stop + len(rows)] = True
        self.events.append(Event(anomaly_type, start, stop, tuple(self._series.features[place] for place in changed)))

    def _starts(self, length: int) -> NDArray[np.int64]:
        """Returns the rows from which an event of this length finds room in a segment of three times that."""
        found = [np.empty(0, np.int64)]
        for first, after in self._series.segments():
            if after - first >= 3 * length:
                found.append(first + np.flatnonzero(~sliding_window_view(self.taken[first:after], length).any(axis=1)))
        return np.concatenate(found)

    def _features(self, generator: Generator) -> Features:
        count = round(_log_uniform((max(1, len(self._moving) // 5), len(self._moving)), generator))
        return np.sort(generator.choice(self._moving, count, replace=False))


def _in_turn(anomaly_types: Sequence[AnomalyType], generator: Generator, count: int) -> Iterator[AnomalyType]:
    for place in range(count):
        if place % len(anomaly_types) == 0:
            order = generator.permutation(len(anomaly_types))
        yield anomaly_types[order[place % len(anomaly_types)]]


def _log_uniform(edges: tuple[float, float], generator: Generator) -> float:
    return float(np.exp(generator.uniform(*np.log(edges))))
