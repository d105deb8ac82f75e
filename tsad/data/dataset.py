"""What every kind of data comes to: rows to learn from and rows to prove it on."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tsad.data.io.read_options import ReadOptions
from tsad.series import Series


class RootCause(NamedTuple):
    """Which features an anomaly of the test rows moved, as whoever labeled it says.

    Attributes:
        start: Its first row.
        stop: The row after its last.
        features: Their names.
    """

    start: int
    stop: int
    features: tuple[str, ...]


class TypedEvent(NamedTuple):
    """What sort of anomaly some of the test rows are, such as an attack by its name.

    Attributes:
        start: Its first row.
        stop: The row after its last.
        name: As whoever labeled it calls it.
    """

    start: int
    stop: int
    name: str


class Entity(NamedTuple):
    """One of several things whose segments lie one after the other in a data set, such as a machine.

    Attributes:
        name: Of the machine.
        train: Its first training row; its last is before the first of the next entity.
        test: Its first test row, likewise.
    """

    name: str
    train: int
    test: int


@dataclass(frozen=True, eq=False)
class DataSet:
    """A training series and a test series of the same features.

    Attributes:
        name: Short name for tables and MLflow, such as `smd-1-2`.
        source: Where it came from: a path, or the generator and its seed.
        train: Rows to learn from; their labels, if any, are never read.
        test: Rows after the training rows; labels, if any, are for reports.
        continuous: Whether the first test row follows the last training row as rows follow each other.
        root_causes: Of labeled anomalies of the test rows, as far as they are known; every row of a cause is labeled.
        typed_events: Stretches of test rows whose anomaly type is known, by first row; two of them may share rows.
        entities: Entities that the rows belong to, in order, such as machines; empty for a single one. Each is cut in time by itself.
        step_seconds: From one row to the next; None where nobody knows or it varies.
        missing: What was done with empty cells, such as `ffill`; None where the source cannot have any.
        defects: What is known to be wrong with the data and was not mended, one sentence each.
        read_options: How rows of more such files are read; None where they come from no file of somebody's own.
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
        """A hash of features, values, boundaries, entities and labels, wherever they came from."""
        found = hashlib.sha256(f"{self.continuous}{self.entities or ''}".encode())
        for series in (self.train, self.test):
            found.update(repr((series.features, series.boundaries, series.values.shape)).encode())
            found.update(series.values.tobytes())
            found.update(b"" if series.labels is None else series.labels.tobytes())
        return found.hexdigest()
