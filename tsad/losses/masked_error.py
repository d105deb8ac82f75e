"""Squared error on hidden entries alone (masked modeling: Devlin et al. 2019; Zerveas et al. 2021 for time series)."""

from typing import ClassVar, Literal

from torch import Tensor

from tsad.losses.contract import BatchOutput, Term, TrainingContext
from tsad.losses.weighted_error import WeightedError, WeightedErrorSpec


class MaskedErrorSpec(WeightedErrorSpec):
    """Mean of the squared residual over the entries that were hidden from the model, each feature with its weight."""

    needs_mask: ClassVar[bool] = True
    kind: Literal["masked_error"]

    def build(self, context: TrainingContext) -> Term:
        """Returns the term; raises ValueError if the weighting needs labels and there are none."""
        return MaskedError(self.weighting.build(context))


class MaskedError(WeightedError):
    """Mean of weight[f] * residual[f]^2 over hidden entries."""

    def errors(self, residual: Tensor) -> Tensor:
        """Returns the squares."""
        return residual.square()

    def forward(self, output: BatchOutput) -> Tensor:
        """Returns the mean, 0 if the batch has no hidden entry among the predicted steps.

        Raises:
            ValueError: if the output was made without a mask.
        """
        if output.hidden is None:
            raise ValueError("an error on hidden entries needs a mask, but nothing was hidden; set objective.mask")
        residual = output.residual
        weighted = self.errors(residual) * self.weights(residual) * output.hidden
        return weighted.sum() / output.hidden.sum().clamp(min=1)
