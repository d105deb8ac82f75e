"""Interface of models: a module that predicts the last steps of each window."""

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from tsad.windows import Windows


class Prediction(NamedTuple):
    """The prediction of a model for a batch of windows.

    The residual is `windows[:, -H:] - values`: an autoencoder predicts all steps (H = L), a forecaster or a model of single
    rows the last ones. A model that rates a step without predicting it, such as an isolation forest, gives an anomaly score
    instead. That score is then the residual: of each feature if the score tells features apart, else of all alike.

    Attributes:
        values: (B, H, F) predicted steps, 1 <= H <= L; the steps themselves where there is an anomaly score.
        embedding: (B, D) vector of each window, or None if the model has none.
        anomaly_score: (B, H) or (B, H, F) score, at least 0, larger is stranger; None if the residual is the score.
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
        steps: Number of last steps of a window that the model predicts, H.
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

    def check_values(self) -> None:
        """Raises `ValueError` naming a tensor of the state that holds NaN or infinity where a model that was fitted has none."""
        for name, tensor in self.state_dict().items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise ValueError(f"{name} has NaN or infinity")


class ClosedFormModel(Model):
    """A model that is fitted in one call instead of by gradient; it holds buffers and no parameters."""

    @abstractmethod
    def fit(self, windows: Windows) -> None:
        """Sets the buffers from training windows."""

    def fit_bytes(self, windows: int) -> int:
        """Returns about how many bytes fitting and scoring hold at once, besides rows and batches; on the meta device too.

        Args:
            windows: Number of training windows.
        """
        return 8 * sum(buffer.numel() for buffer in self.buffers())
