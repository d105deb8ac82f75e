"""What every loss term is: a module that turns the output for a batch into one number that training makes small."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from pydantic import Field
from torch import Generator, Tensor, nn

from tsad.spec import Spec


class BatchOutput(NamedTuple):
    """What a model made of a batch of windows that were partly hidden from it.

    Attributes:
        target: (B, H, F), the true last steps of the windows.
        prediction: (B, H, F), what the model made of them.
        hidden: (B, H, F) bool, True where an entry was hidden from the model, or None if nothing was.
        views: The (B, D) embeddings of the partly hidden and of the clean windows; None unless a term needs them.
    """

    target: Tensor
    prediction: Tensor
    hidden: Tensor | None = None
    views: tuple[Tensor, Tensor] | None = None

    @property
    def residual(self) -> Tensor:
        """(B, H, F), target minus prediction."""
        return self.target - self.prediction


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """What a term may learn from before training begins.

    Attributes:
        rows: (T, F) scaled rows that the model is fitted on.
        generator: Draws whatever is drawn.
        labeled: (T', F) scaled rows set apart for choosing, never reported, and their (T',) bool labels; or None.
    """

    rows: Tensor
    generator: Generator
    labeled: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, eq=False)
class Adversary:
    """A second trainable that a term brings along.

    Attributes:
        name: What it is to the term; the trainable and its loss in the curves are called TERM_NAME.
        module: Whose parameters it may change.
        loss: What it makes small, of an output.
        every: It takes a step on every `every`-th batch.
        learning_rate: Its own, or None for that of the training.
    """

    name: str
    module: nn.Module
    loss: Callable[[BatchOutput], Tensor]
    every: int
    learning_rate: float | None


class Term(nn.Module):
    """One summand of an objective.

    What it gathers in training (running means, a critic's weights) is in its `state_dict`, and it gathers in training
    mode only. It has no parameters that the model's trainable may change.

    Attributes:
        comparable: Whether its validation value means the same in every epoch, so that it may say which epoch is best.
    """

    comparable = True

    @property
    def adversary(self) -> Adversary | None:
        """The trainable that works against the model, if the term has one."""
        return None

    @abstractmethod
    def forward(self, output: BatchOutput) -> Tensor:
        """Returns the scalar loss, not yet weighted."""

    def __call__(self, output: BatchOutput) -> Tensor:
        """Returns the scalar loss (typed, where `nn.Module` says Any)."""
        loss: Tensor = super().__call__(output)
        return loss


class BaseTermSpec(Spec):
    """What the description of every term says.

    Attributes:
        needs_mask: Whether the term means nothing where no entry is hidden.
        needs_views: Whether it compares embeddings of hidden and clean windows.
        weight: Factor of the term in the sum.
    """

    needs_mask: ClassVar[bool] = False
    needs_views: ClassVar[bool] = False
    weight: float = Field(1.0, gt=0)

    @property
    def reads_labels(self) -> bool:
        """Whether labels of the part set apart for choosing have a hand in the term."""
        return False

    @abstractmethod
    def build(self, context: TrainingContext) -> Term:
        """Returns the term; raises ValueError if the context lacks what it needs."""
