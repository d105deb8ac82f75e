import pytest
import torch
from torch import Generator

from tests.examples import FirstRow, built, from_defaults, members, seated, sensors
from tsad.losses import TermSpec
from tsad.losses.squared_error import SquaredErrorSpec
from tsad.masking import GeometricMask, NoMask
from tsad.models import ModelSpec
from tsad.models.contract import ClosedFormModel
from tsad.training.objective import ObjectiveSpec
from tsad.windows import cut

FEATURES, LENGTH = 6, 16
NETWORKS = [
    spec
    for spec in map(from_defaults, members(ModelSpec))
    if not isinstance(spec.build(FEATURES, LENGTH), ClosedFormModel)
]
MASKED = ObjectiveSpec(mask=GeometricMask(kind="geometric", ratio=0.3))

every_network = pytest.mark.parametrize("spec", NETWORKS, ids=lambda spec: spec.kind)


class Watched(FirstRow):
    """Keeps the windows that it was shown."""

    def forward(self, windows):
        self.shown = windows.clone()
        return super().forward(windows)


def windows_of(size=8):
    return next(cut(sensors(100, FEATURES), LENGTH).batches(size))


def hidden_of(windows, seed):
    return MASKED.mask.draw(windows.shape, Generator().manual_seed(seed))


def test_a_model_is_not_shown_what_is_hidden():
    windows, hidden = windows_of(), hidden_of(windows_of(), seed=1)
    model = Watched(LENGTH)
    seated(model, MASKED)[0].terms(windows, Generator().manual_seed(1))
    assert hidden.any()
    assert not model.shown[hidden].any()
    assert torch.equal(model.shown[~hidden], windows[~hidden])


@every_network
def test_hidden_entries_do_not_change_the_prediction(spec):
    model, windows = built(spec, sensors(100, FEATURES), LENGTH), windows_of()
    hidden = hidden_of(windows, seed=1)
    predictions = []
    model.register_forward_hook(lambda module, inputs, prediction: predictions.append(prediction.values))
    for shown in (windows, windows + 100 * hidden, windows + 100 * ~hidden):
        for trainable in seated(model, MASKED):
            trainable.terms(shown, Generator().manual_seed(1))
    unchanged, changed_where_hidden, changed_where_visible = predictions[:: len(predictions) // 3]
    assert torch.equal(changed_where_hidden, unchanged)
    assert not torch.equal(changed_where_visible, unchanged)


def test_the_error_is_that_of_the_whole_window_not_of_what_was_shown():
    windows = torch.arange(12.0).reshape(1, 4, 3) + 1
    terms = seated(FirstRow(4), ObjectiveSpec())[0].terms(windows, Generator())
    assert float(terms["squared_error"]) == (0 + 9 + 36 + 81) / 4
    masked = seated(FirstRow(4), MASKED)[0].terms(windows, Generator().manual_seed(3))
    shown = windows.masked_fill(MASKED.mask.draw(windows.shape, Generator().manual_seed(3)), 0.0)
    assert float(masked["squared_error"]) == pytest.approx(float((windows - shown[:, :1]).square().mean()))


def test_a_forecast_is_judged_on_its_steps_alone():
    windows = torch.arange(4.0).reshape(1, 4, 1)
    terms = seated(FirstRow(2), ObjectiveSpec())[0].terms(windows, Generator())
    assert float(terms["squared_error"]) == (4 + 9) / 2


def test_a_weight_is_a_factor():
    windows = windows_of()
    single, threefold = (
        seated(FirstRow(LENGTH), ObjectiveSpec(terms=(SquaredErrorSpec(weight=weight),)))[0].terms(windows, Generator())
        for weight in (1.0, 3.0)
    )
    assert float(threefold["squared_error"]) == pytest.approx(3 * float(single["squared_error"]))


def test_two_terms_of_one_kind_are_both_counted():
    windows = windows_of()
    once, twice = (
        seated(FirstRow(LENGTH), ObjectiveSpec(terms=(SquaredErrorSpec(weight=1.0),) * count))[0].terms(
            windows, Generator()
        )
        for count in (1, 2)
    )
    assert float(sum(twice.values())) == pytest.approx(2 * float(sum(once.values())))


@pytest.mark.parametrize("term", [from_defaults(member) for member in members(TermSpec)], ids=lambda term: term.kind)
@every_network
def test_every_player_has_finite_losses_that_reach_its_module(spec, term):
    model = built(spec, sensors(100, FEATURES), LENGTH).train()
    trained = seated(model, ObjectiveSpec(mask=MASKED.mask if term.needs_mask else NoMask(), terms=(term,)))
    assert any(trainable.module is model for trainable in trained)
    for trainable in trained:
        loss = sum(trainable.terms(windows_of(), Generator().manual_seed(0)).values())
        assert torch.isfinite(loss)
        trainable.module.zero_grad()
        loss.backward()
        assert any(tensor.grad is not None and tensor.grad.any() for tensor in trainable.module.parameters())


def test_an_objective_needs_a_term():
    with pytest.raises(ValueError, match="at least 1 item"):
        ObjectiveSpec(terms=())
