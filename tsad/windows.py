"""Windows of a series as a view: memory stays that of the rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from tsad.series import Series
from tsad.spec import Spec

CELLS = 2**25
"""Values of windows that a closed form holds at once, at most, unless a single window has more."""


class WindowSpec(Spec):
    """Windows of a series: their length and stride.

    Attributes:
        length: Number of rows in a window, L.
        stride: Number of rows from the start of one training window to the next; scoring always uses 1.
    """

    length: int = Field(32, ge=1, le=100_000)
    stride: int = Field(1, ge=1)


@dataclass(frozen=True, eq=False)
class Windows:
    """All windows of some rows, none of them copied until it is asked for.

    Attributes:
        rows: (T, F) tensor of all rows.
        starts: (N,) int64 indices of the first row of each window, ascending.
        length: Rows in a window, L.
    """

    rows: Tensor
    starts: Tensor
    length: int

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def ends(self) -> Tensor:
        """(N,) the last row of each window."""
        return self.starts + self.length - 1

    def take(self, indices: Tensor) -> Tensor:
        """Returns the (B, L, F) windows at `indices`, each from 0 to N - 1."""
        view = self.rows.unfold(0, self.length, 1).transpose(1, 2)  # (T - L + 1, L, F)
        return view.index_select(0, self.starts[indices])

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[Tensor]:
        """Yields (B, L, F) batches of at most `size` windows, in time order or in the order of the indices `order`."""
        indices = torch.arange(len(self), device=self.starts.device) if order is None else order
        for first in range(0, len(indices), size):
            yield self.take(indices[first : first + size])

    def chunks(self, size: int) -> Iterator[Tensor]:
        """Yields (B, L, F) batches in time order, of at most `size` windows and `CELLS` values: for sums over all windows."""
        yield from self.batches(max(1, min(size, CELLS // (self.length * self.rows.shape[1]))))

    def spread(self, count: int) -> "Windows":
        """Returns at most `count` of the windows, evenly spread in time."""
        indices = torch.linspace(0, len(self) - 1, min(count, len(self))).round().long()
        return Windows(self.rows, self.starts[indices.to(self.starts.device)], self.length)


def cut(series: Series, length: int, stride: int = 1) -> Windows:
    """Returns every window that starts at a multiple of `stride` within its segment and reaches across no boundary.

    Raises:
        ValueError: if no segment is long enough for one window.
    """
    starts = [
        torch.arange(first, after - length + 1, stride) for first, after in series.segments() if after - first >= length
    ]
    if not starts:
        longest, first = max((after - first, first) for first, after in series.segments())
        raise ValueError(
            f"window length must not exceed the rows between boundaries, but got length={length} and {longest} rows "
            f"(rows {first}-{first + longest - 1}); take a shorter window or more rows"
        )
    rows = torch.from_numpy(series.values) if series.values.flags.writeable else torch.tensor(series.values)
    return Windows(rows=rows, starts=torch.cat(starts), length=length)
