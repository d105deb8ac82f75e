"""InfoNCE (van den Oord et al. 2018): a window's two views must be nearer to each other than to other windows'."""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as fn
from pydantic import Field
from torch import Tensor

from tsad.losses.contract import BaseTermSpec, BatchOutput, Term, TrainingContext


class InfoNceSpec(BaseTermSpec):
    """Cross-entropy of finding a window's clean view among those of the batch, given its partly hidden view.

    Attributes:
        weight: Factor of the term in the sum.
        temperature: Divides the cosines; the lower, the more the nearest other windows count.
    """

    needs_mask: ClassVar[bool] = True
    needs_views: ClassVar[bool] = True
    kind: Literal["info_nce"]
    weight: float = Field(0.1, gt=0)
    temperature: float = Field(0.2, gt=0)

    def build(self, context: TrainingContext) -> Term:
        """Returns the term."""
        return InfoNce(self.temperature)


class InfoNce(Term):
    """Mean of the cross-entropies in both directions, masked to clean and clean to masked (as Chen et al. 2020)."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, output: BatchOutput) -> Tensor:
        """Returns the loss: 0 for a batch of one window, log B where views tell nothing.

        Raises:
            ValueError: if the output has no embeddings to compare.
        """
        if output.views is None:
            raise ValueError("info_nce needs a model that gives an embedding; take another model or leave the term out")
        masked, clean = (fn.normalize(view.float(), dim=1) for view in output.views)
        cosines = masked @ clean.T / self.temperature  # (B, B)
        same = torch.arange(len(cosines), device=cosines.device)
        return (fn.cross_entropy(cosines, same) + fn.cross_entropy(cosines.T, same)) / 2
