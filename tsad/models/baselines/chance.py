"""The two floors of every table: a score that is drawn, and a score that is always the same."""

from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from tsad.models.contract import ClosedFormModel, Model, Prediction
from tsad.spec import Spec
from tsad.windows import Windows


class RandomSpec(Spec):
    """A score that knows nothing: what a metric gives away for free on these very labels.

    Attributes:
        seed: Makes the scores; independent of the experiment's seed, so that one seed can be compared with another.
    """

    kind: Literal["random"]
    seed: int = Field(0, ge=0, lt=2**31)

    def build(self, features: int, length: int) -> Model:
        """Returns the model for (B, L, F) windows."""
        return Random(self, features, length)


class ConstantSpec(Spec):
    """Every row as it is for the prediction of itself: no row has a residual, all scores are 0 and nothing is flagged."""

    kind: Literal["constant"]

    def build(self, features: int, length: int) -> Model:
        """Returns the model."""
        return Constant(steps=1)


class Random(ClosedFormModel):
    """The anomaly score is a hash of the window's bits, spread evenly over [0, 1).

    A generator would give a row another score in another batch. A hash of the whole window gives the same one in batch,
    stream and service; two windows share a score only if they are equal in every bit.
    """

    factors: Tensor

    def __init__(self, spec: RandomSpec, features: int, length: int) -> None:
        super().__init__(steps=1)
        drawn = torch.randint(2**62, (length, features), generator=Generator().manual_seed(spec.seed), device="cpu")
        self.register_buffer("factors", 2 * drawn + 1)

    def fit(self, windows: Windows) -> None:
        """Learns nothing."""

    def forward(self, windows: Tensor) -> Prediction:
        """Returns the last row as it is, and the (B, 1) anomaly score."""
        bits = (windows + 0.0).contiguous().view(torch.int32).long()  # -0.0 becomes 0.0: equal numbers have equal bits
        mixed = (bits * self.factors).sum(dim=(1, 2))  # modulo 2^64
        for shift, factor in (
            (33, -0xAE502812AA7333),
            (29, -0x3B314601E57A13AD),
            (32, 1),
        ):  # finaliser of MurmurHash3's kind
            mixed = (mixed ^ ((mixed >> shift) & (2 ** (64 - shift) - 1))) * factor
        anomaly_score = ((mixed >> 11) & (2**53 - 1)).double() / 2**53
        return Prediction(windows[:, -1:], anomaly_score=anomaly_score.unsqueeze(1))


class Constant(ClosedFormModel):
    """Predicts the last step by itself."""

    def fit(self, windows: Windows) -> None:
        """Learns nothing."""

    def forward(self, windows: Tensor) -> Prediction:
        """Returns the last row of each window."""
        return Prediction(windows[:, -1:])
