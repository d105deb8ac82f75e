"""The data card: what a data set contains, and which faults of it are known."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tsad.arrays import Values
from tsad.data.dataset import DataSet, TypedEvent
from tsad.data.overlap import Overlap, overlap
from tsad.errors import DataError
from tsad.series import Series, runs
from tsad.spec import Spec

COPIED_ROWS = 32
"""Rows in the windows of test rows that are searched for in the training rows."""


class EventsCard(Spec):
    """Labeled anomalies of the training or the test rows.

    Attributes:
        count: Number of events, which are unbroken stretches of anomalous rows.
        rows: Number of anomalous rows.
        ratio: Fraction of all rows that are anomalous.
        shortest: Rows of the shortest event; 0 if there is no event.
        median: Median number of rows of an event; 0 if there is no event.
        longest: Rows of the longest event; 0 if there is no event.
    """

    count: int
    rows: int
    ratio: float
    shortest: int
    median: float
    longest: int


class AnomalyTypeCard(Spec):
    """Anomalies of one type, such as an attack by its name.

    Attributes:
        name: Name of the anomaly type.
        events: Number of events of this type.
        rows: Number of rows in these events.
    """

    name: str
    events: int
    rows: int


class PartCard(Spec):
    """The training rows or the test rows.

    Attributes:
        rows: Number of rows, T.
        segments: Number of stretches of rows without a boundary.
        values_sha256: SHA-256 of the (T, F) values row by row, little-endian, float32 or float64 as they are in the data set.
        labels_sha256: SHA-256 of the (T,) labels as one byte each, 0 or 1; None without labels.
        first_time: Time of the first row, ISO 8601 to the second; None without times.
        last_time: Time of the last row, likewise.
        events: Labeled anomalies; None without labels.
    """

    rows: int
    segments: int
    values_sha256: str
    labels_sha256: str | None
    first_time: str | None
    last_time: str | None
    events: EventsCard | None


class DataCard(Spec):
    """A description of a data set for everyone who has to trust a number that was computed on it.

    `data_card` makes one; `model_dump_json` is the content of `data_card.json`, `to_markdown` a page for people.

    Attributes:
        name: Name of the data set.
        source: Where the rows came from.
        features: Names of the F features.
        step_seconds: Seconds from one row to the next; None where they are unknown or vary.
        missing: How empty cells were filled; None where the source cannot have any.
        train: The training rows.
        test: The test rows.
        root_causes: Number of anomalies of the test rows whose root causes are known.
        anomaly_types: Anomaly types of the test rows, the one with the most rows first; a row may have several types, or none.
        constant: Features that never change in the training rows.
        changing: Constant features that have another value in the test rows.
        rows_in_train: Test rows that occur in the training rows too.
        windows_in_train: Windows of `COPIED_ROWS` test rows that occur in the training rows too.
        defects: Known faults of the data that were not repaired, one sentence each.
    """

    name: str
    source: str
    features: tuple[str, ...]
    step_seconds: float | None
    missing: str | None
    train: PartCard
    test: PartCard
    root_causes: int
    anomaly_types: tuple[AnomalyTypeCard, ...] = ()
    constant: tuple[str, ...]
    changing: tuple[str, ...]
    rows_in_train: Overlap
    windows_in_train: Overlap
    defects: tuple[str, ...]

    def to_markdown(self) -> str:
        """Returns the card as Markdown: a table of both parts, a list of facts, and the known defects."""
        step = "unknown" if self.step_seconds is None else f"{self.step_seconds:g} seconds"
        constant, changing = (", ".join(names) or "none" for names in (self.constant, self.changing))
        columns = zip(_lines(self.train), _lines(self.test), strict=True)
        return "\n".join(
            [
                f"# Data card: {self.name}",
                "",
                "| | train | test |",
                "|---|---|---|",
                *(f"| {name} | {train} | {test} |" for (name, train), (_, test) in columns),
                "",
                f"- Source: {self.source}",
                f"- {len(self.features)} features: {', '.join(self.features)}",
                f"- Time from row to row: {step}",
                f"- Policy for empty cells: {self.missing or 'none needed'}",
                f"- Root causes are known for {self.root_causes} anomalies",
                f"- Anomaly types: {'; '.join(map(_sentence, self.anomaly_types)) or 'unknown'}",
                f"- Constant in train: {constant}; of these change in test: {changing}",
                f"- {self.rows_in_train}",
                f"- {self.windows_in_train}",
                "",
                "## Known defects",
                "",
                *([f"- {defect}" for defect in self.defects] or ["None."]),
                "",
            ]
        )


def data_card(data: DataSet) -> DataCard:
    """Returns the card of a data set; defects that its values show come before those that its loader reported.

    Raises:
        DataError: if there are no training rows or no test rows.

    Example:
        >>> rows = Series(np.array([[1.0, 0.0], [2.0, 0.0]], np.float32), ("load", "spare"))
        >>> card = data_card(DataSet("small", "memory", train=rows, test=rows))
        >>> card.train.rows, card.constant, str(card.rows_in_train)[:13]
        (2, ('spare',), '2 of 2 test r')
    """
    if not len(data.train) or not len(data.test):
        raise DataError(
            f"{data.name}: a data card needs training and test rows, but there are {len(data.train)} and {len(data.test)}; "
            f"give more rows"
        )
    train, test = data.train.values, data.test.values
    constant = (train == train[:1]).all(axis=0)
    changing = constant & (test != train[:1]).any(axis=0)
    return DataCard(
        name=data.name,
        source=data.source,
        features=data.train.features,
        step_seconds=data.step_seconds,
        missing=data.missing,
        train=_part(data.train),
        test=_part(data.test),
        root_causes=len(data.root_causes),
        anomaly_types=_anomaly_types(data.typed_events),
        constant=_named(data.train.features, constant),
        changing=_named(data.train.features, changing),
        rows_in_train=overlap(data.train, data.test),
        windows_in_train=overlap(data.train, data.test, COPIED_ROWS),
        defects=(*_joint_scaling(train, test), *data.defects),
    )


def _anomaly_types(events: Sequence[TypedEvent]) -> tuple[AnomalyTypeCard, ...]:
    lengths: dict[str, list[int]] = {}
    for start, stop, name in events:
        lengths.setdefault(name, []).append(stop - start)
    cards = [AnomalyTypeCard(name=name, events=len(rows), rows=sum(rows)) for name, rows in lengths.items()]
    return tuple(sorted(cards, key=lambda card: (-card.rows, card.name)))


def _sentence(anomaly_type: AnomalyTypeCard) -> str:
    return f"{anomaly_type.name} {anomaly_type.rows} rows in {anomaly_type.events} events"


def _part(series: Series) -> PartCard:
    labels, times = series.labels, series.times
    return PartCard(
        rows=len(series),
        segments=len(series.boundaries) + 1,
        values_sha256=hashlib.sha256(series.values.astype(series.values.dtype.newbyteorder("<")).tobytes()).hexdigest(),
        labels_sha256=None if labels is None else hashlib.sha256(labels.tobytes()).hexdigest(),
        first_time=None if times is None else str(times[0].astype("datetime64[s]")),
        last_time=None if times is None else str(times[-1].astype("datetime64[s]")),
        events=None if labels is None else _events(labels),
    )


def _events(labels: NDArray[np.bool_]) -> EventsCard:
    lengths = [stop - start for start, stop in runs(labels)] or [0]
    return EventsCard(
        count=len(runs(labels)),
        rows=sum(lengths),
        ratio=sum(lengths) / len(labels),
        shortest=min(lengths),
        median=float(np.median(lengths)),
        longest=max(lengths),
    )


def _joint_scaling(train: Values, test: Values) -> list[str]:
    """Returns a sentence if all features with more than two values reach exactly 0 and 1, some with the test rows only."""
    both = np.concatenate([train, test])
    low, high = both.min(axis=0), both.max(axis=0)
    ranged = ((both > low) & (both < high)).any(axis=0)
    late = ranged & ((train.min(axis=0) > low) | (train.max(axis=0) < high))
    if (low[ranged] != 0).any() or (high[ranged] != 1).any() or not late.any():
        return []
    return [
        f"values are scaled by minimum and maximum over train and test together, it seems: all {int(ranged.sum())} features "
        f"with more than two values reach exactly 0 and 1, {int(late.sum())} of them only with the test rows; training rows "
        f"then reveal the range of the test rows"
    ]


def _named(features: tuple[str, ...], which: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(name for name, marked in zip(features, which, strict=True) if marked)


def _lines(part: PartCard) -> list[tuple[str, str]]:
    """Returns name and value of each line of the table."""
    events = part.events
    anomalous = "not labeled" if events is None else f"{events.rows} ({events.ratio:.2%}) in {events.count} events"
    lengths = "" if not events else f"{events.shortest} / {events.median:g} / {events.longest}"
    return [
        ("rows", str(part.rows)),
        ("segments", str(part.segments)),
        ("time", f"{part.first_time} to {part.last_time}" if part.first_time else "unknown"),
        ("anomalous rows", anomalous),
        ("rows in an event, shortest / median / longest", lengths),
        ("sha256 of values", part.values_sha256),
        ("sha256 of labels", part.labels_sha256 or ""),
    ]
