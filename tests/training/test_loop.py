import numpy as np
import pytest
import torch
from torch import Generator, nn

from tests.examples import from_defaults, members, seated, sensors
from tsad.errors import TrainingError
from tsad.masking import GeometricMask
from tsad.models import ModelSpec
from tsad.models.contract import ClosedFormModel, Model, Prediction
from tsad.series import Series
from tsad.training.checkpoints import Checkpoints, load_weights
from tsad.training.epoch_losses import EpochLosses
from tsad.training.loop import TrainingSpec, train
from tsad.training.objective import ObjectiveSpec
from tsad.training.seeds import seeded
from tsad.windows import cut

FEATURES, LENGTH = 6, 16
NETWORKS = [
    spec
    for spec in map(from_defaults, members(ModelSpec))
    if not isinstance(spec.build(FEATURES, LENGTH), ClosedFormModel)
]


class Constant(Model):
    """Predictions every row by one number that it learns."""

    def __init__(self):
        super().__init__(steps=1)
        self.value = nn.Parameter(torch.zeros(1))

    def forward(self, windows):
        return Prediction(self.value.expand(len(windows), 1, windows.shape[2]))


def level_windows(*thresholds, rows=20):
    """Returns windows of one row each: `rows` rows at each threshold in turn."""
    values = np.repeat(np.float32(thresholds), rows)[:, None]
    return cut(Series(values, ("a",)), 1)


def run(model, windows, on_epoch=lambda *told: None, folder=None, seed=0, objective=None, **keys):
    spec = TrainingSpec(**({"batch_size": 64, "learning_rate": 0.1} | keys))
    generator = Generator().manual_seed(seed)
    return train(
        model,
        seated(model, objective or ObjectiveSpec()),
        spec,
        windows,
        generator,
        on_epoch,
        None if folder is None else Checkpoints(folder),
    )


def overfit(**keys):
    """Trains towards 1 while validation wants 0: the first epoch is the best; returns model, history, thresholds by epoch."""
    model, thresholds = Constant(), []
    history = run(
        model,
        (level_windows(1.0), level_windows(0.0)),
        lambda losses, best: thresholds.append(model.value.item()),
        **({"epochs": 6, "patience": 10} | keys),
    )
    return model, history, thresholds


@pytest.mark.parametrize("spec", NETWORKS, ids=lambda spec: spec.kind)
def test_the_same_seed_gives_exactly_the_same_weights(spec):
    windows = cut(sensors(60, FEATURES), LENGTH), cut(sensors(40, FEATURES, seed=1), LENGTH)
    objective = ObjectiveSpec(mask=GeometricMask(kind="geometric"))
    trained = []
    for seed in (4, 4, 5):
        with seeded(seed) as generator:
            model = spec.build(FEATURES, LENGTH)
            settings = TrainingSpec(epochs=2, batch_size=16)
            train(model, seated(model, objective), settings, windows, generator, lambda *told: None, None)
        trained.append(model.state_dict())
    first, second, other = trained
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_seed_leaves_the_global_generator_as_it_was():
    before = torch.random.get_rng_state()
    with seeded(1):
        inside = torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    with seeded(1):
        assert torch.equal(torch.rand(3), inside)


def test_training_makes_the_loss_small():
    history = run(Constant(), (level_windows(1.0), level_windows(1.0)), epochs=60, patience=60, learning_rate=0.05)
    assert history[-1].validation["squared_error"] < 0.01 < 0.5 < history[0].validation["squared_error"]


def test_the_best_weights_are_restored_not_the_last():
    model, _, thresholds = overfit()
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[-1]
    assert model.value.item() == thresholds[0]
    assert not model.training


def test_training_stops_when_patience_is_at_its_end():
    _, history, _ = overfit(epochs=50, patience=3)
    assert [losses.epoch for losses in history] == [1, 2, 3, 4]


def test_patience_begins_anew_with_each_better_epoch():
    # validation is at 0.55: better until the threshold passes it, then worse; 0.1 an epoch
    model = Constant()
    history = run(model, (level_windows(1.0), level_windows(0.55)), epochs=50, patience=2)
    losses = [epoch.validation["squared_error"] for epoch in history]
    assert len(history) == int(np.argmin(losses)) + 1 + 2
    assert int(np.argmin(losses)) > 2


def test_losses_are_means_over_windows_whatever_the_batches():
    windows = level_windows(1.0, 2.0, 6.0, rows=3)
    history = run(Constant(), (windows, windows), epochs=1, batch_size=9)
    assert history[0].train["squared_error"] == pytest.approx((1 + 4 + 36) / 3)
    validated = [
        run(Constant(), (windows, windows), epochs=1, batch_size=size, learning_rate=1e-12)[0].validation[
            "squared_error"
        ]
        for size in (1, 2, 4, 9, 100)
    ]
    assert validated == pytest.approx([(1 + 4 + 36) / 3] * 5)


def test_validation_masks_are_the_same_in_every_epoch():
    windows = cut(sensors(60, FEATURES), LENGTH)
    model = NETWORKS[0].build(FEATURES, LENGTH)
    objective = ObjectiveSpec(mask=GeometricMask(kind="geometric", ratio=0.4))
    history = run(model, (windows, windows), objective=objective, epochs=3, patience=3, learning_rate=1e-30)
    assert len({losses.validation["squared_error"] for losses in history}) == 1
    assert len({losses.train["squared_error"] for losses in history}) == 3


def test_curves_name_each_term_and_the_sums():
    losses = EpochLosses(1, {"a": 1.0, "b": 2.0}, {"a": 3.0})
    assert losses.curves() == {
        "train/loss": 3.0,
        "validation/loss": 3.0,
        "train/a": 1.0,
        "train/b": 2.0,
        "validation/a": 3.0,
    }


def test_every_epoch_is_told_in_turn():
    told = []
    history = run(
        Constant(), (level_windows(1.0), level_windows(1.0)), lambda losses, best: told.append(losses[-1]), epochs=3
    )
    assert told == history
    assert [losses.epoch for losses in told] == [1, 2, 3]


def test_what_a_listener_raises_ends_the_training():
    def stop(losses, best):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Constant(), (level_windows(1.0), level_windows(1.0)), stop, epochs=3)


def test_a_loss_that_is_not_finite_names_epoch_batch_and_term():
    with pytest.raises(TrainingError, match=r"squared_error is inf in epoch 1, batch 0; lower training\.learning_rate"):
        run(Constant(), (level_windows(1e30), level_windows(1.0)))


def test_a_validation_loss_that_is_not_finite_names_epoch_batch_and_term():
    with pytest.raises(TrainingError, match="squared_error is inf in validation of epoch 1, batch 2"):
        run(Constant(), (level_windows(1.0), level_windows(1.0, 1.0, 1e30, rows=20)), batch_size=20)


def test_a_later_epoch_is_named_too():
    model = Constant()
    with pytest.raises(TrainingError, match="in epoch 2, batch 0"):
        run(model, (level_windows(1.0), level_windows(1.0)), lambda losses, best: nn.init.constant_(model.value, 1e30))


def test_the_best_and_the_last_weights_are_kept_on_disk(tmp_path):
    _, _, thresholds = overfit(folder=tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "best.safetensors",
        "last.safetensors",
        "training.safetensors",
    ]
    model = Constant()
    load_weights(model, tmp_path / "run" / "best.safetensors")
    assert model.value.item() == thresholds[0]
    load_weights(model, tmp_path / "run" / "last.safetensors")
    assert model.value.item() == thresholds[-1]
