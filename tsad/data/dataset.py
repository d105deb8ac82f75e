"""What every kind of data comes to: rows to learn from and rows to prove it on."""

from dataclasses import dataclass

from tsad.series import Series


@dataclass(frozen=True, eq=False)
class DataSet:
    """A training series and a test series of the same features.

    Attributes:
        name: Short name for tables and MLflow, such as `smd-1-2`.
        source: Where it came from: a path, or the generator and its seed.
        train: Rows to learn from; their labels, if any, are never read.
        test: Rows after the training rows; labels, if any, are for reports.
    """

    name: str
    source: str
    train: Series
    test: Series
