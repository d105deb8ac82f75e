"""Interface of every loss term: a module that turns the output for a batch into one number that training minimizes."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from pydantic import Field
from torch import Generator, Tensor, nn

from tsad.spec import Spec


class BatchOutput(NamedTuple):
    """Output of a model for a batch of windows, some entries of which may have been hidden from it.

    Attributes:
        target: (B, H, F) true last steps of the windows.
        prediction: (B, H, F) predicted last steps of the windows.
        hidden: (B, H, F) bool, True where an entry was hidden from the model; None if nothing was hidden.
        views: Embeddings (B, D) of the masked and of the clean windows; None unless a term needs them.
    """

    target: Tensor
    prediction: Tensor
    hidden: Tensor | None = None
    views: tuple[Tensor, Tensor] | None = None

    @property
    def residual(self) -> Tensor:
        """(B, H, F) difference, target minus prediction."""
        return self.target - self.prediction


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """Data that a term may read before training begins.

    Attributes:
        rows: (T, F) scaled rows that the model is fitted on.
        generator: Generator of all random draws.
        labeled: Scaled rows (T', F) of the selection part, which is never reported, and their (T',) bool labels; or None.
    """

    rows: Tensor
    generator: Generator
    labeled: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, eq=False)
class Adversary:
    """A second trainable that a term brings along.

    Attributes:
        name: Name of its role in the term; its loss curve is called TERM_NAME.
        module: Module whose parameters it changes.
        loss: Loss that it minimizes, as a function of the model's output.
        every: Number of batches from one of its steps to the next.
        learning_rate: Learning rate of its own; None for the learning rate of the training.
    """

    name: str
    module: nn.Module
    loss: Callable[[BatchOutput], Tensor]
    every: int
    learning_rate: float | None


class Term(nn.Module):
    """One summand of an objective.

    Its state (running means, the weights of a critic) is in its `state_dict` and changes in training mode only. It has no
    parameters that the optimizer of the model changes.

    Attributes:
        comparable: Whether validation values of different epochs can be compared, so that the term may select the best epoch.
    """

    comparable = True

    @property
    def adversary(self) -> Adversary | None:
        """Trainable that works against the model; None if the term has none."""
        return None

    @abstractmethod
    def forward(self, output: BatchOutput) -> Tensor:
        """Returns the scalar loss, not yet weighted."""

    def __call__(self, output: BatchOutput) -> Tensor:
        """Returns the scalar loss (typed, where `nn.Module` says Any)."""
        loss: Tensor = super().__call__(output)
        return loss


class BaseTermSpec(Spec):
    """Settings that every term has.

    Attributes:
        needs_mask: Whether the term is undefined where no entry is hidden.
        needs_views: Whether the term compares embeddings of masked and clean windows.
        weight: Factor of the term in the sum of all terms.
    """

    needs_mask: ClassVar[bool] = False
    needs_views: ClassVar[bool] = False
    weight: float = Field(1.0, gt=0)

    @property
    def reads_labels(self) -> bool:
        """Whether the term uses labels of the selection part."""
        return False

    @abstractmethod
    def build(self, context: TrainingContext) -> Term:
        """Returns the term; raises ValueError if the context lacks what it needs."""
