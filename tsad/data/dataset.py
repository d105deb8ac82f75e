"""The data set: rows to train on and rows to test on, whatever they come from."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tsad.data.io.read_options import ReadOptions
from tsad.series import Series


class RootCause(NamedTuple):
    """The features that a labeled anomaly of the test rows began in, according to those who labeled it.

    Attributes:
        start: First test row of the anomaly.
        stop: Test row after its last one.
        features: Names of the features that caused it.
    """

    start: int
    stop: int
    features: tuple[str, ...]


class TypedEvent(NamedTuple):
    """A stretch of anomalous test rows whose anomaly type is known, such as an attack by its name.

    Attributes:
        start: First test row of the event.
        stop: Test row after its last one.
        name: Anomaly type, as those who labeled it call it.
    """

    start: int
    stop: int
    name: str


class Entity(NamedTuple):
    """One of several things whose segments follow each other in a data set, such as one of many machines.

    Attributes:
        name: Name of the entity.
        train: Index of its first training row; its last one is right before the first row of the next entity.
        test: Index of its first test row; its last one is right before the first row of the next entity.
    """

    name: str
    train: int
    test: int


@dataclass(frozen=True, eq=False)
class DataSet:
    """A training series and a test series of the same features; every data spec returns one from `load`.

    Attributes:
        name: Short name for tables and for MLflow, such as `smd-1-2`.
        source: Where the rows came from: a path, or a generator and its seed.
        train: Rows to learn from, (T, F); their labels are never read.
        test: Rows to test on, (T, F), later than the training rows; labels, if there are any, are for reports.
        continuous: Whether the first test row follows the last training row at the usual step.
        root_causes: Root causes of labeled anomalies of the test rows, as far as they are known; all their rows are labeled.
        typed_events: Stretches of test rows whose anomaly type is known, by first row; two of them may share rows.
        entities: Entities that the rows belong to, in their order; empty for a single one. Each is split in time by itself.
        step_seconds: Seconds from one row to the next; None where they are unknown or vary.
        missing: How empty cells were filled, such as `ffill`; None where the source cannot have any.
        defects: Known faults of the data that were not repaired, one sentence each.
        read_options: How rows of more files like this one are read; None if the rows come from no file of the user.
    """

    name: str
    source: str
    train: Series
    test: Series
    continuous: bool = False
    root_causes: tuple[RootCause, ...] = ()
    typed_events: tuple[TypedEvent, ...] = ()
    entities: tuple[Entity, ...] = ()
    step_seconds: float | None = None
    missing: str | None = None
    defects: tuple[str, ...] = ()
    read_options: ReadOptions | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of features, values, boundaries, entities and labels in hexadecimal, wherever the rows came from."""
        sha256 = hashlib.sha256(f"{self.continuous}{self.entities or ''}".encode())
        for series in (self.train, self.test):
            sha256.update(repr((series.features, series.boundaries, series.values.shape)).encode())
            sha256.update(series.values.tobytes())
            sha256.update(b"" if series.labels is None else series.labels.tobytes())
        return sha256.hexdigest()
