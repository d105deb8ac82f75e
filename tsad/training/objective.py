"""Objectives: what is hidden from a model and what its estimate is judged by."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import Field
from torch import Generator, Tensor, nn

from tsad.losses import TermSpec
from tsad.masking import MaskSpec, NoMask
from tsad.models.contract import Model
from tsad.spec import Spec


class ObjectiveSpec(Spec):
    """A weighted sum of loss terms under a mask.

    Attributes:
        mask: What the model does not see in training; scoring hides nothing.
        terms: What is summed.
    """

    mask: MaskSpec = NoMask()
    terms: tuple[TermSpec, ...] = Field((TermSpec(),), min_length=1)


@dataclass(frozen=True, eq=False)
class Player:
    """One of those who are trained on a batch, each with an optimizer of its own.

    Attributes:
        name: For optimizers and error messages.
        module: Whose parameters it may change.
        terms: Weighted losses by name of (B, L, F) windows, with masks drawn from the generator; their sum is made small.
    """

    name: str
    module: nn.Module
    terms: Callable[[Tensor, Generator], dict[str, Tensor]]


def players(model: Model, objective: ObjectiveSpec) -> list[Player]:
    """Returns those who are to be trained, in the order of their steps."""

    def terms(windows: Tensor, generator: Generator) -> dict[str, Tensor]:
        hidden = objective.mask.draw(windows.shape, generator)
        visible = windows if hidden is None else windows.masked_fill(hidden.to(windows.device), 0.0)
        estimate = model(visible).values
        misfit = windows[:, -model.steps :] - estimate
        return {term.kind: term.weight * term.value(misfit) for term in objective.terms}

    return [Player("model", model, terms)]
