"""The adversarial game (Goodfellow et al. 2014): predictions that a critic takes for true windows."""

from typing import Literal

import torch
import torch.nn.functional as fn
from pydantic import Field
from torch import Tensor, nn

from tsad.losses.contract import Adversary, BaseTermSpec, BatchOutput, Term, TrainingContext
from tsad.losses.critics import ConvolutionCriticSpec, CriticSpec


class AdversarialSpec(BaseTermSpec):
    """The generator's side of the game; the critic comes along as a second trainable.

    Attributes:
        weight: Factor of the term in the sum.
        critic: Critic that the model learns to deceive.
        every: The critic takes a step on every `every`-th batch.
        learning_rate: Learning rate of the critic; None for the learning rate of the training.
    """

    kind: Literal["adversarial"]
    weight: float = Field(0.05, gt=0)
    critic: CriticSpec = ConvolutionCriticSpec()
    every: int = Field(1, ge=1)
    learning_rate: float | None = Field(None, gt=0)

    def build(self, context: TrainingContext) -> Term:
        """Returns the term with an untrained critic."""
        return Adversarial(self, self.critic.build(context.rows.shape[1]))


class Adversarial(Term):
    """Binary cross-entropy on both sides, in the form that does not saturate (section 3 of the source).

    Departure from the source: the generator is a model that predicts the very windows it is compared with, so the game
    only sharpens what an error term aims at; without one, a prediction need not resemble its window.
    """

    comparable = False

    def __init__(self, spec: AdversarialSpec, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic
        self.every, self.learning_rate = spec.every, spec.learning_rate

    @property
    def adversary(self) -> Adversary:
        """The critic."""
        return Adversary("critic", self.critic, self.judge, self.every, self.learning_rate)

    def forward(self, output: BatchOutput) -> Tensor:
        """Returns the cross-entropy of the critic's logit on predictions and "true"."""
        return _critic_loss(self.critic(output.prediction), true=True)

    def judge(self, output: BatchOutput) -> Tensor:
        """Returns the critic's own loss, the mean over true and predicted sequences; log 2 if it cannot tell them apart."""
        true = _critic_loss(self.critic(output.target), true=True)
        predicted = _critic_loss(self.critic(output.prediction.detach()), true=False)
        return (true + predicted) / 2


def _critic_loss(logits: Tensor, *, true: bool) -> Tensor:
    target = torch.full_like(logits, float(true))
    return fn.binary_cross_entropy_with_logits(logits.float(), target.float())
