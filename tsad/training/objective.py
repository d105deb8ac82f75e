"""Objectives: what is hidden from a model and what its prediction is judged by."""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor, nn

from tsad.losses import TermSpec
from tsad.losses.contract import Adversary, BatchOutput, TrainingContext
from tsad.losses.squared_error import SquaredErrorSpec
from tsad.masking import MaskSpec, NoMask, hide
from tsad.models.contract import Model
from tsad.spec import Spec


class ObjectiveSpec(Spec):
    """A weighted sum of loss terms under a mask.

    Attributes:
        mask: What the model does not see in training; scoring hides nothing.
        terms: What is summed. A kind may stand more than once, with other weightings; the second is named `KIND_2`.
    """

    mask: MaskSpec = NoMask()
    terms: tuple[TermSpec, ...] = Field((SquaredErrorSpec(),), min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> "ObjectiveSpec":
        needy = [term.kind for term in self.terms if term.needs_mask]
        if needy and isinstance(self.mask, NoMask):
            raise ValueError(f"term {needy[0]} needs hidden entries, but nothing is hidden; set objective.mask")
        return self

    @property
    def reads_labels(self) -> bool:
        """Whether labels of the part set apart for choosing have a hand in training."""
        return any(term.reads_labels for term in self.terms)


class Terms(Protocol):
    """Losses of a trainable module on a batch."""

    def __call__(self, windows: Tensor, generator: Generator, progress: float = 1.0) -> dict[str, Tensor]:
        """Returns weighted losses by name of (B, L, F) windows; their sum is to be made small.

        Args:
            windows: Windows to compute the output for.
            generator: Draws the masks.
            progress: Progress of training, from 0 in the first epoch to 1 in the last.
        """


@dataclass(frozen=True, eq=False)
class Trainable:
    """One of those who are trained on a batch, each with an optimizer of its own.

    Attributes:
        name: For optimizers and error messages.
        module: Whose parameters it may change.
        terms: What it is judged by.
        judges: The modules of its terms, which may gather something in training.
        comparable: Names of its terms that say which epoch is best; none for an adversary.
        every: It takes a step on every `every`-th batch of an epoch, the first one included.
        learning_rate: Learning rate of its own; None for the learning rate of the training.
    """

    name: str
    module: nn.Module
    terms: Terms
    judges: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    comparable: tuple[str, ...] = ()
    every: int = 1
    learning_rate: float | None = None


def trainables(model: Model, objective: ObjectiveSpec, context: TrainingContext) -> list[Trainable]:
    """Returns those who are to be trained, in the order of their steps: the model, then the adversaries of its terms.

    Raises:
        ValueError: if a term needs an embedding, or labels, and there is none.
    """
    weights = dict(zip(_names(objective), (spec.weight for spec in objective.terms), strict=True))
    built = {
        name: spec.build(context).to(context.rows.device) for name, spec in zip(weights, objective.terms, strict=True)
    }

    def terms(windows: Tensor, generator: Generator, progress: float = 1.0) -> dict[str, Tensor]:
        output = _attempt(model, objective, windows, generator, progress)
        return {name: weights[name] * term(output) for name, term in built.items()}

    comparable = tuple(name for name, term in built.items() if term.comparable)
    first = Trainable("model", model, terms, nn.ModuleDict(built), comparable or tuple(built))
    adversaries = {name: term.adversary for name, term in built.items() if term.adversary is not None}
    return [first, *(_second(model, objective, name, adversary) for name, adversary in adversaries.items())]


def _names(objective: ObjectiveSpec) -> list[str]:
    kinds = [term.kind for term in objective.terms]
    repeats = [kinds[:position].count(kind) + 1 for position, kind in enumerate(kinds)]
    return [kind if repeat == 1 else f"{kind}_{repeat}" for kind, repeat in zip(kinds, repeats, strict=True)]


def _second(model: Model, objective: ObjectiveSpec, term: str, adversary: Adversary) -> Trainable:
    name = f"{term}_{adversary.name}"

    def terms(windows: Tensor, generator: Generator, progress: float = 1.0) -> dict[str, Tensor]:
        with torch.no_grad():
            output = _attempt(model, objective, windows, generator, progress)
        return {name: adversary.loss(output)}

    return Trainable(name, adversary.module, terms, every=adversary.every, learning_rate=adversary.learning_rate)


def _attempt(
    model: Model, objective: ObjectiveSpec, windows: Tensor, generator: Generator, progress: float
) -> BatchOutput:
    visible, hidden = hide(objective.mask, windows, generator, progress)
    prediction = model(visible)
    last = slice(windows.shape[1] - model.steps, None)
    views = None
    if any(term.needs_views for term in objective.terms):
        clean = model(windows)
        if prediction.embedding is not None and clean.embedding is not None:
            views = (prediction.embedding, clean.embedding)
    return BatchOutput(windows[:, last], prediction.values, None if hidden is None else hidden[:, last], views)
