"""Mean squared error."""

from typing import Literal

from pydantic import Field
from torch import Tensor

from tsad.spec import Spec


class SquaredErrorSpec(Spec):
    """Mean over windows, steps and features of the squared misfit.

    Attributes:
        weight: Factor of the term in the sum.
    """

    kind: Literal["squared_error"] = "squared_error"
    weight: float = Field(1.0, gt=0)

    def value(self, misfit: Tensor) -> Tensor:
        """Returns the scalar loss, not yet weighted, of a (B, H, F) misfit."""
        return misfit.square().mean()
