"""Rows and windows of a test series that occur in its training series too, every value the same."""

from dataclasses import dataclass

import numpy as np

from tsad.arrays import Integers, Values
from tsad.series import Series, runs


@dataclass(frozen=True)
class Overlap:
    """Windows of the test rows that occur in the training rows too.

    Attributes:
        length: Rows in a window, L.
        windows: Number of windows of the test rows, one for each possible first row.
        repeated: Number of those that occur in the training rows.
        starts: First (test row, training row) of each of the first five unbroken runs of repeated windows.
    """

    length: int
    windows: int
    repeated: int
    starts: tuple[tuple[int, int], ...]

    @property
    def ratio(self) -> float:
        """Fraction of the windows that occur in the training rows; 0 if there are no windows."""
        return self.repeated / self.windows if self.windows else 0.0

    def __str__(self) -> str:
        what = "test rows" if self.length == 1 else f"windows of {self.length} test rows"
        starts = ", ".join(f"{test} (training row {train})" for test, train in self.starts)
        return f"{self.repeated} of {self.windows} {what} ({self.ratio:.1%}) occur in train" + (
            f"; stretches begin at test row {starts}" if starts else ""
        )


def overlap(train: Series, test: Series, length: int = 1) -> Overlap:
    """Returns which windows of the test rows occur in the training rows, every value equal to the bit.

    Use it to find copied rows. A single row may recur by chance where features have few values or are constant; a long window
    that recurs was copied. No window crosses a boundary.

    Args:
        train: (T, F) rows to look in.
        test: (T', F) rows of the same features to look for.
        length: Rows in a window, L, at least 1.

    Example:
        >>> train = Series(np.array([[1.0], [2.0], [3.0]], np.float32), ("load",))
        >>> test = Series(np.array([[9.0], [2.0], [3.0]], np.float32), ("load",))
        >>> print(overlap(train, test, length=2))
        1 of 2 windows of 2 test rows (50.0%) occur in train; stretches begin at test row 1 (training row 1)
    """
    numbers = _window_numbers(np.concatenate([train.values, test.values]), length)
    train_starts, test_starts = _starts(train, length), _starts(test, length)
    train_numbers, first = np.unique(numbers[train_starts], return_index=True)
    test_numbers = numbers[len(train) + test_starts]
    repeated = np.isin(test_numbers, train_numbers)
    begins = [begin for begin, _ in runs(repeated)[:5]]
    twins = train_starts[first[np.searchsorted(train_numbers, test_numbers[begins])]]
    starts = zip(test_starts[begins], twins, strict=True)
    return Overlap(
        length, len(test_starts), int(repeated.sum()), tuple((int(row), int(train_row)) for row, train_row in starts)
    )


def _window_numbers(values: Values, length: int) -> Integers:
    """Returns a number for the window that starts at each row; equal windows have equal numbers, and others differ.

    A window is numbered by its first and its last part, which may share rows, and parts double until they are long enough:
    as exact as a comparison, with log2(L) sorts instead of L comparisons for each pair of rows.
    """
    rows = np.ascontiguousarray(values)
    numbers: Integers = np.unique(rows.view(f"V{rows.itemsize * rows.shape[1]}").ravel(), return_inverse=True)[1]
    part = 1
    while part < length:
        ahead = min(part, length - part)
        numbers = np.unique(numbers[:-ahead] * len(rows) + numbers[ahead:], return_inverse=True)[1]
        part += ahead
    return numbers


def _starts(series: Series, length: int) -> Integers:
    return np.concatenate([np.arange(first, after - length + 1) for first, after in series.segments()])
