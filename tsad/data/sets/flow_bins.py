"""Flows counted by bins of time: sums that no order of rows, files or chunks can change."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tsad.arrays import Floats
from tsad.data.sets.flows import BENIGN, BUCKETS, CROWDS, Flows
from tsad.errors import DataError

T = TypeVar("T", bound=np.generic)

_PROTOCOLS = {"tcp": 6, "udp": 17}
_LABELS = 64
"""Room for names of attacks, of which the published files have eighteen."""


class Rows(NamedTuple):
    """Rows in the order of time, whatever they are of.

    Attributes:
        numbers: (R,) of the bins, ascending; two rows that follow each other have numbers that do.
        times: (R,) datetime64[us].
        values: (R, F) float64.
        features: The F names.
        attacks: (R, K) whether a row holds a flow of each attack.
        names: Of the K attacks.
    """

    numbers: NDArray[np.int64]
    times: NDArray[np.datetime64]
    values: Floats
    features: tuple[str, ...]
    attacks: NDArray[np.bool_]
    names: tuple[str, ...]

    def cut(self, ratio: float) -> "tuple[Rows, Rows]":
        """Returns the rows before and in the last `ratio` of them."""
        edge = len(self.numbers) - round(len(self.numbers) * ratio)
        first, last = (
            self._replace(**{name: getattr(self, name)[part] for name in ("numbers", "times", "values", "attacks")})
            for part in (slice(edge), slice(edge, None))
        )
        return first, last


class FlowBins:
    """Counters of every bin that has a flow; about 2 kB each, so 60 MB for a day of eight hours in bins of a second.

    Args:
        seconds: Length of a bin.
        sums: Names of columns that are summed over the flows of a bin.
        means: Names of columns that are averaged, over the flows whose cell holds something that can be true.
    """

    def __init__(self, seconds: float, sums: Sequence[str], means: Sequence[str]) -> None:
        self._microseconds = round(seconds * 1e6)
        self._sums, self._means = tuple(sums), tuple(means)
        self._places: dict[int, int] = {}
        self._labels: dict[str, int] = {}
        self._counts = np.zeros((0, 1 + len(_PROTOCOLS)), np.int64)
        self._flows_by_label = np.zeros((0, _LABELS), np.uint32)
        self._totals = np.zeros((0, len(self.columns)))
        self._known = np.zeros((0, len(means)), np.int64)
        self._crowds = np.zeros((0, len(CROWDS), BUCKETS), np.uint32)

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the flows that `add` takes."""
        return self._sums + self._means

    @property
    def features(self) -> tuple[str, ...]:
        """Names of what a bin comes to."""
        counts = ["flows", *(f"{name}_flows" for name in _PROTOCOLS)]
        crowds = [f"{snake(name)}_{what}" for what in ("distinct", "entropy") for name in CROWDS]
        return (*counts, *(f"{snake(n)}_sum" for n in self._sums), *(f"{snake(n)}_mean" for n in self._means), *crowds)

    def add(self, flows: Flows) -> None:
        """Counts some flows."""
        bins, inverse = np.unique(flows.times // self._microseconds, return_inverse=True)
        places = self._placed(bins)
        labels = np.array([self._labels.setdefault(name, len(self._labels)) for name in flows.names], np.int64)
        if len(self._labels) > _LABELS:
            raise DataError(
                f"flows may have {_LABELS} labels at most, but have {len(self._labels)}, such as {[*self._labels][-3:]}; take "
                f"the published files"
            )
        here = places[inverse]
        _count(self._flows_by_label, here * _LABELS + labels[flows.labels])

        def per_bin(weights: NDArray[Any]) -> NDArray[Any]:
            return np.bincount(inverse, weights, minlength=len(bins))

        self._counts[places, 0] += per_bin(np.ones(len(inverse))).astype(np.int64)
        for column, number in enumerate(_PROTOCOLS.values(), start=1):
            self._counts[places, column] += per_bin(flows.protocols == number).astype(np.int64)
        for column, cells in enumerate(flows.values.T):
            self._totals[places, column] += per_bin(np.nan_to_num(cells))
            if column >= len(self._sums):
                self._known[places, column - len(self._sums)] += per_bin(~np.isnan(cells)).astype(np.int64)
        for column, hashes in enumerate(flows.crowds.T):
            _count(self._crowds, (here * len(CROWDS) + column) * BUCKETS + hashes)

    def rows(self, silence: int) -> Rows:
        """Returns the bins in the order of time, with rows of zeros for up to `silence` bins without a flow in between."""
        numbers, places = np.array([*self._places], np.int64), np.array([*self._places.values()], np.int64)
        order = np.argsort(numbers)
        numbers, places = numbers[order], places[order]
        means = self._totals[places, len(self._sums) :] / np.maximum(self._known[places], 1)
        crowds = [_crowd(self._crowds[places[first : first + 1024]]) for first in range(0, len(places), 1024)]
        values = [
            self._counts[places],
            self._totals[places, : len(self._sums)],
            means,
            np.concatenate(crowds or [np.empty((0, 8))]),
        ]
        names = tuple(sorted(name for name in self._labels if name != BENIGN))
        attacks = self._flows_by_label[places][:, [self._labels[name] for name in names]] > 0
        ahead = np.diff(numbers, append=numbers[-1:] + 1)
        ahead[ahead > silence + 1] = 1
        every = np.repeat(numbers - np.cumsum(ahead) + ahead, ahead) + np.arange(ahead.sum())
        full = np.isin(every, numbers)
        return Rows(
            numbers=every,
            times=(every * self._microseconds).astype("datetime64[us]"),
            values=_spread(np.hstack(values), full),
            features=self.features,
            attacks=_spread(attacks, full),
            names=names,
        )

    def _placed(self, bins: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns where the counters of bins are; makes room for new ones."""
        places = np.array([self._places.setdefault(number, len(self._places)) for number in bins.tolist()], np.int64)
        room = len(self._counts)
        if len(self._places) > room:
            more = max(len(self._places), room + room // 2) - room
            for name in ("_counts", "_flows_by_label", "_totals", "_known", "_crowds"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros((more, *old.shape[1:]), old.dtype)]))
        return places


def flow_rows(chunks: Iterable[Flows], columns: Sequence[str], silence: float) -> Rows:
    """Returns flows one by one in the order of time; numbers skip one where more than `silence` seconds are without a flow."""
    held = [(each.times, each.values, [each.names[label] for label in each.labels]) for each in chunks]
    times = np.concatenate([np.empty(0, np.int64), *(each[0] for each in held)])
    order = np.argsort(times, kind="stable")
    labels = np.concatenate([np.empty(0, str), *(each[2] for each in held)])[order]
    names = tuple(str(name) for name in np.unique(labels) if name != BENIGN)
    times = times[order]
    return Rows(
        numbers=np.cumsum(1 + (np.diff(times, prepend=times[:1]) > silence * 1e6)),
        times=times.astype("datetime64[us]"),
        values=np.nan_to_num(np.concatenate([np.empty((0, len(columns))), *(each[1] for each in held)])[order]),
        features=tuple(snake(name) for name in columns),
        attacks=labels[:, None] == np.array(names)[None] if names else np.zeros((len(times), 0), bool),
        names=names,
    )


def _spread(rows: NDArray[T], full: NDArray[np.bool_]) -> NDArray[T]:
    """Returns the rows at the places that are full, zeros elsewhere."""
    found = np.zeros((len(full), rows.shape[1]), rows.dtype)
    found[full] = rows
    return found


def snake(name: str) -> str:
    """Returns the name of a column in small letters and underscores."""
    return re.sub(r"\W+", "_", name).lower()


def _count(counters: NDArray[np.uint32], places: NDArray[np.int64]) -> None:
    """Adds 1 at each flat place of an array, as often as it comes."""
    np.add.at(counters.reshape(-1), places, np.uint32(1))


def _crowd(counts: NDArray[np.uint32]) -> Floats:
    """Returns (R, 8): how many each of the `CROWDS` has in a bin, then how evenly they come, in bits.

    The number is linear counting (Whang et al., 1990), about exact up to some dozens, at most 710 (one empty counter left
    would be 621). The entropy is that of the hashes, so at most 7 bits.
    """
    empty = np.maximum((counts == 0).sum(axis=2), 0.5)
    shares = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)
    entropy = -(shares * np.log2(shares, out=np.zeros_like(shares), where=shares > 0)).sum(axis=2)
    return np.hstack([-BUCKETS * np.log(empty / BUCKETS), entropy])
