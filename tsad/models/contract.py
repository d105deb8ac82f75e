"""What every model is: a module that gives an estimate of the last steps of each window."""

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from tsad.windows import Windows


class Estimate(NamedTuple):
    """What a model makes of a batch of windows.

    The misfit is `windows[:, -H:] - values`: an autoencoder estimates all steps (H = L), a row model or a forecaster the
    last ones. The exception is a model that has a verdict on a step but no idea what the step should have been: the verdict
    is then the misfit, of every feature alike if it accuses none in particular, as an isolation forest does.

    Attributes:
        values: (B, H, F), 1 <= H <= L; with a verdict, the steps as they are.
        embedding: (B, D), or None for a model that has none.
        verdict: (B, H) or (B, H, F), at least 0, larger is stranger; None for a model whose misfit speaks for itself.
    """

    values: Tensor
    embedding: Tensor | None = None
    verdict: Tensor | None = None

    def misfit(self, windows: Tensor) -> Tensor:
        """Returns the (B, H, F) misfit of the (B, L, F) windows that the estimate is of."""
        last = windows[:, windows.shape[1] - self.values.shape[1] :]
        if self.verdict is None:
            return last - self.values
        return self.verdict.reshape(*last.shape[:2], -1).expand(last.shape)


class Model(nn.Module):
    """A network or a closed form; everything it learned is in its `state_dict`.

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
