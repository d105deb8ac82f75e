"""What every model is: a module that gives an estimate of the last steps of each window."""

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from tsad.windows import Windows


class Estimate(NamedTuple):
    """What a model makes of a batch of windows.

    The misfit is always `windows[:, -H:] - values`: an autoencoder estimates all steps (H = L), a row model or a
    forecaster the last ones.

    Attributes:
        values: (B, H, F), 1 <= H <= L.
        embedding: (B, D), or None for a model that has none.
    """

    values: Tensor
    embedding: Tensor | None = None


class Model(nn.Module):
    """A network or a closed form; everything it learnt is in its `state_dict`.

    Attributes:
        steps: How many last steps of a window it estimates, H.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    @abstractmethod
    def forward(self, windows: Tensor) -> Estimate:
        """Returns the estimate of (B, L, F) windows; a window's estimate does not depend on the others in its batch."""

    def __call__(self, windows: Tensor) -> Estimate:
        """Returns the estimate of (B, L, F) windows (typed, where `nn.Module` says Any)."""
        estimate: Estimate = super().__call__(windows)
        return estimate


class ClosedFormModel(Model):
    """A model that is fitted in one call instead of by gradient; it holds buffers and no parameters."""

    @abstractmethod
    def fit(self, windows: Windows) -> None:
        """Sets the buffers from training windows."""
