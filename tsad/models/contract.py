"""What every model is: a module that gives a prediction of the last steps of each window."""

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from tsad.windows import Windows


class Prediction(NamedTuple):
    """What a model makes of a batch of windows.

    The residual is `windows[:, -H:] - values`: an autoencoder predicts all steps (H = L), a row model or a forecaster the
    last ones. The exception is a model that has an anomaly score on a step but no idea what the step should have been: the anomaly score
    is then the residual, of every feature alike if it accuses none in particular, as an isolation forest does.

    Attributes:
        values: (B, H, F), 1 <= H <= L; with an anomaly score, the steps as they are.
        embedding: (B, D), or None for a model that has none.
        anomaly score: (B, H) or (B, H, F), at least 0, larger is stranger; None for a model whose residual speaks for itself.
    """

    values: Tensor
    embedding: Tensor | None = None
    anomaly_score: Tensor | None = None

    def residual(self, windows: Tensor) -> Tensor:
        """Returns the (B, H, F) residual of the (B, L, F) windows that the prediction is of."""
        last = windows[:, windows.shape[1] - self.values.shape[1] :]
        if self.anomaly_score is None:
            return last - self.values
        return self.anomaly_score.reshape(*last.shape[:2], -1).expand(last.shape)


class Model(nn.Module):
    """A network or a closed form; everything it learned is in its `state_dict`.

    Attributes:
        steps: How many last steps of a window it predicts, H.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    @abstractmethod
    def forward(self, windows: Tensor) -> Prediction:
        """Returns the prediction of (B, L, F) windows; a window's prediction does not depend on the others in its batch."""

    def __call__(self, windows: Tensor) -> Prediction:
        """Returns the prediction of (B, L, F) windows (typed, where `nn.Module` says Any)."""
        prediction: Prediction = super().__call__(windows)
        return prediction


class ClosedFormModel(Model):
    """A model that is fitted in one call instead of by gradient; it holds buffers and no parameters."""

    @abstractmethod
    def fit(self, windows: Windows) -> None:
        """Sets the buffers from training windows."""
