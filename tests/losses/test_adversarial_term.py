from math import log

import pytest
import torch
from torch import Generator

from tsad.losses.adversarial import AdversarialSpec
from tsad.losses.contract import BatchOutput, TrainingContext
from tsad.losses.critics import ConvolutionCriticSpec, PooledCriticSpec

CRITICS = [ConvolutionCriticSpec(), PooledCriticSpec(kind="pooled")]
every_critic = pytest.mark.parametrize("critic", CRITICS, ids=lambda critic: critic.kind)


def built(critic):
    return AdversarialSpec(kind="adversarial", critic=critic).build(TrainingContext(torch.zeros(10, 3), Generator()))


@every_critic
@pytest.mark.parametrize("length", [1, 2, 50])
def test_a_critic_gives_a_scores_on_each_sequence_alone(critic, length):
    network = critic.build(3)
    sequences = torch.randn(6, length, 3)
    logits = network(sequences)
    assert logits.shape == (6,)
    assert torch.allclose(network(sequences[:2]), logits[:2], atol=1e-6)


def test_the_convolution_critic_has_three_convolutions():
    network = ConvolutionCriticSpec(channels=8).build(3)
    found = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv1d)]
    assert [(layer.in_channels, layer.out_channels) for layer in found] == [(3, 8), (8, 16), (16, 1)]


def test_a_pooled_critic_sees_nothing_but_the_mean():
    network, sequences = PooledCriticSpec(kind="pooled").build(3), torch.randn(4, 9, 3)
    assert torch.allclose(network(sequences), network(sequences.flip(1)), atol=1e-6)


class Told:
    """A critic that says what it was told to say, in turn."""

    def __init__(self, *logits):
        self.logits = list(logits)

    def __call__(self, sequences):
        return torch.full((len(sequences),), self.logits.pop(0))


def losses(predicted, true):
    term = built(PooledCriticSpec(kind="pooled"))
    output = BatchOutput(torch.zeros(2, 4, 3), torch.ones(2, 4, 3))
    term._modules["critic"] = Told(predicted, true, predicted)
    return float(term(output)), float(term.judge(output))


def test_an_undecided_critic_costs_log_2_on_both_sides():
    assert losses(0.0, 0.0) == pytest.approx((log(2), log(2)))


def test_losses_are_binary_cross_entropies():
    # critic: prediction true with probability 1/4, window true with probability 3/4
    assert losses(-log(3), log(3)) == pytest.approx((log(4), log(4 / 3)))


@every_critic
def test_the_critics_loss_does_not_reach_the_prediction(critic):
    term, prediction = built(critic), torch.randn(2, 5, 3, requires_grad=True)
    output = BatchOutput(torch.randn(2, 5, 3), prediction)
    term.judge(output).backward()
    assert prediction.grad is None
    assert all(parameter.grad is not None for parameter in term.critic.parameters())
    term(output).backward()
    assert prediction.grad.abs().sum() > 0
