"""Two trainables through the one loop."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator

from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.experiment import run
from tsad.losses.adversarial import AdversarialSpec
from tsad.losses.contract import TrainingContext
from tsad.losses.info_nce import InfoNceSpec
from tsad.losses.squared_error import SquaredErrorSpec
from tsad.masking import GeometricMask
from tsad.models.adversarial_transformer import AdversarialTransformerSpec
from tsad.models.recurrent_forecaster import RecurrentForecasterSpec
from tsad.series import Series
from tsad.spec import parse
from tsad.training.epoch_losses import EpochLosses
from tsad.training.loop import TrainingSpec, train
from tsad.training.objective import ObjectiveSpec, trainables
from tsad.windows import cut

FEATURES, LENGTH = 3, 10
GAME = ObjectiveSpec(
    mask=GeometricMask(kind="geometric"),
    terms=(SquaredErrorSpec(), InfoNceSpec(kind="info_nce"), AdversarialSpec(kind="adversarial", every=3)),
)


def windows_of(rows, seed=0):
    values = torch.randn(rows, FEATURES, generator=Generator().manual_seed(seed)).numpy()
    return cut(Series(values, tuple("abc")), LENGTH)


def seated(objective=GAME, model=None):
    torch.manual_seed(0)
    model = model or AdversarialTransformerSpec(kind="adversarial_transformer", width=8, heads=2, depth=1).build(
        FEATURES, LENGTH
    )
    return model, trainables(model, objective, TrainingContext(windows_of(60).rows, Generator().manual_seed(0)))


def play(objective=GAME, **keys):
    model, two = seated(objective)
    spec = TrainingSpec(**({"epochs": 2, "batch_size": 8} | keys))
    history = train(
        model, two, spec, (windows_of(60), windows_of(30, 1)), Generator().manual_seed(0), lambda *told: None, None
    )
    return model, two, history


def weights(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(module, before):
    return any(not torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_an_adversarial_term_brings_its_critic_to_the_table():
    model, two = seated()
    assert [trainable.name for trainable in two] == ["model", "adversarial_critic"]
    assert two[0].module is model
    assert not set(two[0].module.parameters()) & set(two[1].module.parameters())


def test_gradient_reaches_every_parameter_of_both_players():
    _, two = seated()
    for trainable in two:
        trainable.module.train()
        trainable.module.zero_grad()
        torch.stack(list(trainable.terms(windows_of(60).take(torch.arange(8)), Generator()).values())).sum().backward()
        untouched = [
            name for name, tensor in trainable.module.named_parameters() if tensor.grad is None or not tensor.grad.any()
        ]
        assert not untouched, trainable.name


def test_a_player_changes_nobody_elses_parameters():
    _, two = seated()
    before = [weights(trainable.module) for trainable in two]
    model, critic = two
    settings = TrainingSpec(epochs=1, batch_size=8)
    train(model.module, [model], settings, (windows_of(30), windows_of(30)), Generator(), lambda *told: None, None)
    assert changed(model.module, before[0])
    assert not changed(critic.module, before[1])
    before = [weights(trainable.module) for trainable in two]
    train(model.module, [critic], settings, (windows_of(30), windows_of(30)), Generator(), lambda *told: None, None)
    assert not changed(model.module, before[0])
    assert changed(critic.module, before[1])


class Counted:
    """A trainable's terms, and how often they were asked for in training."""

    def __init__(self, trainable):
        self.trainable, self.asked = trainable, 0

    def __call__(self, windows, generator, progress=1.0):
        self.asked += torch.is_grad_enabled()
        return self.trainable.terms(windows, generator, progress)


def test_a_critic_plays_on_every_kth_batch():
    model, two = seated()
    counted = [replace(trainable, terms=Counted(trainable)) for trainable in two]
    windows = (windows_of(LENGTH - 1 + 7 * 8), windows_of(30))
    train(model, counted, TrainingSpec(epochs=1, batch_size=8), windows, Generator(), lambda *told: None, None)
    assert [trainable.terms.asked for trainable in counted] == [7, 3]  # batches 0, 3 and 6 of 7


def test_a_critic_has_a_learning_rate_of_its_own():
    frozen = AdversarialSpec(kind="adversarial", learning_rate=1e-30)
    _, two = seated(ObjectiveSpec(terms=(SquaredErrorSpec(), frozen)))
    before = weights(two[1].module)
    _, two, _ = play(ObjectiveSpec(terms=(SquaredErrorSpec(), frozen)))
    assert not changed(two[1].module, before)


@pytest.mark.slow
def test_a_critic_learns_to_tell_predictions_from_windows():
    _, _, history = play(epochs=8, patience=8, learning_rate=3e-3)
    losses = [epoch.train["adversarial_critic"] for epoch in history]
    assert losses[-1] < losses[0]


def test_the_game_has_no_say_in_which_epoch_is_best():
    _, _, history = play()
    assert history[0].comparable == ("squared_error", "info_nce")
    losses = history[0].validation
    assert history[0].loss == losses["squared_error"] + losses["info_nce"]
    assert set(losses) == {"squared_error", "info_nce", "adversarial", "adversarial_critic"}
    assert set(history[0].curves()) == {
        f"{side}/{name}" for side in ("train", "validation") for name in ("loss", *losses)
    }


def test_a_game_without_any_other_term_goes_by_the_game():
    _, _, history = play(ObjectiveSpec(terms=(AdversarialSpec(kind="adversarial"),)))
    assert history[0].loss == history[0].validation["adversarial"]


def test_a_forecaster_can_be_criticised_too():
    model = RecurrentForecasterSpec(kind="recurrent_forecaster").build(FEATURES, LENGTH)
    _, two = seated(ObjectiveSpec(terms=(SquaredErrorSpec(), AdversarialSpec(kind="adversarial"))), model)
    for trainable in two:
        losses = trainable.terms(windows_of(60).take(torch.arange(8)), Generator())
        assert all(torch.isfinite(value) for value in losses.values())


def test_losses_of_one_kind_are_named_apart():
    _, two = seated(ObjectiveSpec(terms=(SquaredErrorSpec(), SquaredErrorSpec(weight=2.0, weighting="feature_scaled"))))
    losses = two[0].terms(windows_of(60).take(torch.arange(8)), Generator())
    assert list(losses) == ["squared_error", "squared_error_2"]


def test_losses_that_are_not_comparable_stay_out_of_the_sum():
    losses = EpochLosses(1, {"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}, comparable=("a",))
    assert losses.loss == 3.0
    assert losses.curves()["train/loss"] == 1.0


def waves(seed):
    """Returns 800 rows of four noisy sines."""
    generator = np.random.default_rng(seed)
    rows = np.sin(np.arange(800)[:, None] / np.array([4, 7, 11, 19])) + 0.1 * generator.standard_normal((800, 4))
    return Series(rows.astype(np.float32), tuple("abcd"))


def test_the_adversarial_recipe_loses_what_it_lost_when_it_was_written():
    values = {
        "seed": 0,
        "data": {"kind": "synthetic"},
        "window": {"length": 100, "stride": 10},
        "model": {"kind": "adversarial_transformer", "width": 16, "heads": 2, "depth": 1},
        "objective": {
            "terms": [
                {"kind": "squared_error", "weight": 50.0},
                {"kind": "adversarial", "weight": 0.05, "learning_rate": 1e-5},
            ]
        },
        "training": {"epochs": 3, "batch_size": 64, "learning_rate": 1e-4},
    }
    history = run(parse(ExperimentConfig, values, "recipe"), DataSet("waves", "made here", waves(0), waves(1))).history
    found = [
        [epoch.train[name] for name in ("squared_error", "adversarial", "adversarial_critic")] for epoch in history
    ]
    assert found == [pytest.approx(losses, rel=1e-4) for losses in GOLDEN]


GOLDEN = [
    [88.89486, 0.03090992, 0.7004783],
    [88.23843, 0.03095395, 0.6990719],
    [87.56734, 0.0309919, 0.6992822],
]
"""Of epochs 1 to 3: weighted squared error, weighted adversarial term, critic (torch 2.13, CPU)."""
