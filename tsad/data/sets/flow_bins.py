"""Flows counted by time bins, by sums that do not depend on the order of rows, files or chunks."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tsad.arrays import Flags, Floats, Integers, Times
from tsad.data.sets.flows import BENIGN, BUCKETS, CROWDS, Flows
from tsad.errors import DataError

T = TypeVar("T", bound=np.generic)

_PROTOCOLS = {"tcp": 6, "udp": 17}
_LABELS = 64
"""Largest number of labels; the published files have eighteen attacks."""


class FlowRows(NamedTuple):
    """Rows in the order of time: time bins, or single flows.

    Attributes:
        numbers: (R,) ascending numbers of the rows; consecutive numbers belong to one segment.
        times: (R,) times of the rows, datetime64[us].
        values: (R, F) values of the features.
        features: Names of the F features.
        attacks: (R, K) True where a row contains a flow of an attack.
        names: Names of the K attacks.
    """

    numbers: Integers
    times: Times
    values: Floats
    features: tuple[str, ...]
    attacks: Flags
    names: tuple[str, ...]

    def cut(self, ratio: float) -> "tuple[FlowRows, FlowRows]":
        """Returns all rows but the last `ratio` of them, and those last rows."""
        edge = len(self.numbers) - round(len(self.numbers) * ratio)
        first, last = (
            self._replace(**{name: getattr(self, name)[part] for name in ("numbers", "times", "values", "attacks")})
            for part in (slice(edge), slice(edge, None))
        )
        return first, last


class FlowBins:
    """Counters of every time bin that has a flow, about 2 kB each: 60 MB for eight hours in bins of one second.

    Args:
        seconds: Length of a bin.
        sums: Names of columns that are summed over the flows of a bin.
        means: Names of columns that are averaged over the flows of a bin whose cell is credible.
    """

    def __init__(self, seconds: float, sums: Sequence[str], means: Sequence[str]) -> None:
        self._microseconds = round(seconds * 1e6)
        self._sums, self._means = tuple(sums), tuple(means)
        self._slots: dict[int, int] = {}
        self._labels: dict[str, int] = {}
        self._counts = np.zeros((0, 1 + len(_PROTOCOLS)), np.int64)
        self._flows_by_label = np.zeros((0, _LABELS), np.uint32)
        self._totals = np.zeros((0, len(self.columns)))
        self._credible = np.zeros((0, len(means)), np.int64)
        self._crowds = np.zeros((0, len(CROWDS), BUCKETS), np.uint32)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the flows that `add` takes."""
        return self._sums + self._means

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features of a bin."""
        counts = ["flows", *(f"{name}_flows" for name in _PROTOCOLS)]
        crowds = [f"{snake_case(name)}_{what}" for what in ("distinct", "entropy") for name in CROWDS]
        return (
            *counts,
            *(f"{snake_case(n)}_sum" for n in self._sums),
            *(f"{snake_case(n)}_mean" for n in self._means),
            *crowds,
        )

    def add(self, flows: Flows) -> None:
        """Adds flows to the counters of their bins; raises `DataError` if there are too many labels."""
        bins, inverse = np.unique(flows.times // self._microseconds, return_inverse=True)
        slots = self._slots_of(bins)
        labels = np.array([self._labels.setdefault(name, len(self._labels)) for name in flows.names], np.int64)
        if len(self._labels) > _LABELS:
            raise DataError(
                f"flows may have {_LABELS} labels at most, but have {len(self._labels)}, such as {[*self._labels][-3:]}; take "
                f"the published files"
            )
        slot_of_flow = slots[inverse]
        _count(self._flows_by_label, slot_of_flow * _LABELS + labels[flows.labels])

        def per_bin(weights: NDArray[Any]) -> NDArray[Any]:
            return np.bincount(inverse, weights, minlength=len(bins))

        self._counts[slots, 0] += per_bin(np.ones(len(inverse))).astype(np.int64)
        for column, number in enumerate(_PROTOCOLS.values(), start=1):
            self._counts[slots, column] += per_bin(flows.protocols == number).astype(np.int64)
        for column, cells in enumerate(flows.values.T):
            self._totals[slots, column] += per_bin(np.nan_to_num(cells))
            if column >= len(self._sums):
                self._credible[slots, column - len(self._sums)] += per_bin(~np.isnan(cells)).astype(np.int64)
        for column, hashes in enumerate(flows.crowds.T):
            _count(self._crowds, (slot_of_flow * len(CROWDS) + column) * BUCKETS + hashes)

    def rows(self, silence: int) -> FlowRows:
        """Returns the bins in the order of time, with zeros for up to `silence` consecutive bins without a flow."""
        numbers, slots = np.array([*self._slots], np.int64), np.array([*self._slots.values()], np.int64)
        order = np.argsort(numbers)
        numbers, slots = numbers[order], slots[order]
        means = self._totals[slots, len(self._sums) :] / np.maximum(self._credible[slots], 1)
        crowds = [_crowd(self._crowds[slots[first : first + 1024]]) for first in range(0, len(slots), 1024)]
        values = [
            self._counts[slots],
            self._totals[slots, : len(self._sums)],
            means,
            np.concatenate(crowds or [np.empty((0, 8))]),
        ]
        names = tuple(sorted(name for name in self._labels if name != BENIGN))
        attacks = self._flows_by_label[slots][:, [self._labels[name] for name in names]] > 0
        ahead = np.diff(numbers, append=numbers[-1:] + 1)
        ahead[ahead > silence + 1] = 1
        every = np.repeat(numbers - np.cumsum(ahead) + ahead, ahead) + np.arange(ahead.sum())
        full = np.isin(every, numbers)
        return FlowRows(
            numbers=every,
            times=(every * self._microseconds).astype("datetime64[us]"),
            values=_spread(np.hstack(values), full),
            features=self.features,
            attacks=_spread(attacks, full),
            names=names,
        )

    def _slots_of(self, bins: Integers) -> Integers:
        """Returns the indices of the counters of bins, after adding counters for new bins."""
        slots = np.array([self._slots.setdefault(number, len(self._slots)) for number in bins.tolist()], np.int64)
        room = len(self._counts)
        if len(self._slots) > room:
            more = max(len(self._slots), room + room // 2) - room
            for name in ("_counts", "_flows_by_label", "_totals", "_credible", "_crowds"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros((more, *old.shape[1:]), old.dtype)]))
        return slots


def flow_rows(chunks: Iterable[Flows], columns: Sequence[str], silence: float) -> FlowRows:
    """Returns single flows in the order of time; numbers skip one after more than `silence` seconds without a flow."""
    parts = [(flows.times, flows.values, [flows.names[label] for label in flows.labels]) for flows in chunks]
    times = np.concatenate([np.empty(0, np.int64), *(chunk[0] for chunk in parts)])
    order = np.argsort(times, kind="stable")
    labels = np.concatenate([np.empty(0, str), *(chunk[2] for chunk in parts)])[order]
    names = tuple(str(name) for name in np.unique(labels) if name != BENIGN)
    times = times[order]
    return FlowRows(
        numbers=np.cumsum(1 + (np.diff(times, prepend=times[:1]) > silence * 1e6)),
        times=times.astype("datetime64[us]"),
        values=np.nan_to_num(np.concatenate([np.empty((0, len(columns))), *(chunk[1] for chunk in parts)])[order]),
        features=tuple(snake_case(name) for name in columns),
        attacks=labels[:, None] == np.array(names)[None] if names else np.zeros((len(times), 0), bool),
        names=names,
    )


def _spread(rows: NDArray[T], full: Flags) -> NDArray[T]:
    """Returns the rows at the indices that are True in `full`, and zeros elsewhere."""
    spread = np.zeros((len(full), rows.shape[1]), rows.dtype)
    spread[full] = rows
    return spread


def snake_case(name: str) -> str:
    """Returns the name of a column in lower case with underscores."""
    return re.sub(r"\W+", "_", name).lower()


def _count(counters: NDArray[np.uint32], indices: Integers) -> None:
    """Adds 1 at each flat index of an array, as often as the index occurs."""
    np.add.at(counters.reshape(-1), indices, np.uint32(1))


def _crowd(counts: NDArray[np.uint32]) -> Floats:
    """Returns (R, 8): the number of distinct identities of each of `CROWDS` in a bin, then the entropy of their counts in bits.

    The number is linear counting (Whang et al., 1990): nearly exact up to some dozens, at most 710 (one empty counter gives
    621). The entropy is that of the hashes, so it is at most 7 bits.
    """
    empty = np.maximum((counts == 0).sum(axis=2), 0.5)
    fractions = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)
    entropy = -(fractions * np.log2(fractions, out=np.zeros_like(fractions), where=fractions > 0)).sum(axis=2)
    return np.hstack([-BUCKETS * np.log(empty / BUCKETS), entropy])
