"""From rows to windows, for comparison with results that were published at window threshold."""

from typing import Any, Literal, NamedTuple

from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tsad.arrays import Flags, Floats


class WindowLevel(NamedTuple):
    """Scores, labels and flags of N windows.

    A segment counts once for every window that touches it, so windows have a higher anomaly ratio than rows, and higher
    metrics. Never show both in one column.

    Attributes:
        scores: (N,).
        labels: (N,) True where any row of the window is anomalous.
        flags: (N,) True where any row of the window is flagged, or None if there are no flags.
    """

    scores: Floats
    labels: Flags
    flags: Flags | None


def to_windows(
    scores: Floats,
    labels: Flags,
    flags: Flags | None,
    *,
    length: int,
    stride: int = 1,
    summary: Literal["maximum", "mean"] = "maximum",
) -> WindowLevel:
    """Returns the windows of the rows of one segment that start at rows 0, `stride`, 2 `stride`, ...

    Rows after the last window that fits belong to none.

    Args:
        scores: (T,) without NaN.
        labels: (T,).
        flags: (T,), or None.
        length: Rows in a window, from 1 to T.
        stride: Rows from the start of one window to the next, from 1.
        summary: What a window's score is of those of its rows. By their maximum, a window is above a threshold exactly if
            one of its rows is, so flags and scores agree; by their mean, a lone high row matters less, and they do not.

    Raises:
        ValueError: if no window fits, or the stride is below 1.
    """
    if not 1 <= length <= len(scores) or stride < 1:
        raise ValueError(
            f"window length must be from 1 to the number of rows, and stride at least 1, but got length={length}, "
            f"stride={stride} and {len(scores)} rows; take a shorter window or more rows"
        )

    def cut(rows: NDArray[Any]) -> NDArray[Any]:
        return sliding_window_view(rows, length)[::stride]

    return WindowLevel(
        cut(scores).max(axis=1) if summary == "maximum" else cut(scores).mean(axis=1),
        cut(labels).max(axis=1),
        None if flags is None else cut(flags).max(axis=1),
    )
