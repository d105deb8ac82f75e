"""What a test series has word for word from its training series."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsad.arrays import Integers
from tsad.series import Series, runs


@dataclass(frozen=True)
class Overlap:
    """How many windows of the test rows occur in the training rows too.

    Attributes:
        length: Rows in a window, L.
        windows: Windows of the test rows, each start counted.
        found: Those that occur in the training rows.
        places: (test row, training row) where each of the first five unbroken stretches of them begins.
    """

    length: int
    windows: int
    found: int
    places: tuple[tuple[int, int], ...]

    @property
    def share(self) -> float:
        """Of the windows, 0 if there is none."""
        return self.found / self.windows if self.windows else 0.0

    def __str__(self) -> str:
        what = "test rows" if self.length == 1 else f"windows of {self.length} test rows"
        places = ", ".join(f"{test} (training row {train})" for test, train in self.places)
        return f"{self.found} of {self.windows} {what} ({self.share:.1%}) occur in train" + (
            f"; stretches begin at test row {places}" if places else ""
        )


def overlap(train: Series, test: Series, length: int = 1) -> Overlap:
    """Returns which windows of the test rows occur in the training rows, every value the same to the bit.

    A single row may recur by chance where features have few values or stand still; a long window that recurs was copied.
    A window reaches across no break.

    Args:
        train: Rows to look in.
        test: Rows of the same features to look for.
        length: Rows in a window, L, at least 1.
    """
    names = _names(np.concatenate([train.values, test.values]), length)
    there, here = _starts(train, length), _starts(test, length)
    known, first = np.unique(names[there], return_index=True)
    sought = names[len(train) + here]
    found = np.isin(sought, known)
    begins = [begin for begin, _ in runs(found)[:5]]
    twins = there[first[np.searchsorted(known, sought[begins])]]
    places = tuple((int(test_row), int(train_row)) for test_row, train_row in zip(here[begins], twins, strict=True))
    return Overlap(length, len(here), int(found.sum()), places)


def _names(values: NDArray[np.float32], length: int) -> Integers:
    """Returns a number for the window that starts at each row, the same for the same windows.

    A window is named by its first and its last part, which may share rows, and parts double until they are long enough:
    exact as a comparison, and log2(L) sorts instead of L comparisons for each pair of rows.
    """
    rows = np.ascontiguousarray(values)
    names: Integers = np.unique(rows.view(f"V{rows.itemsize * rows.shape[1]}").ravel(), return_inverse=True)[1]
    part = 1
    while part < length:
        ahead = min(part, length - part)
        names = np.unique(names[:-ahead] * len(rows) + names[ahead:], return_inverse=True)[1]
        part += ahead
    return names


def _starts(series: Series, length: int) -> Integers:
    return np.concatenate([np.arange(first, after - length + 1) for first, after in series.segments()])
