"""The contract of every model that a YAML can name, each built from nothing but its kind."""

import pytest
import torch

from tests.examples import built, from_defaults, kind_of, members, sensors
from tsad.detector.scoring import BATCH
from tsad.models import ModelSpec
from tsad.models.contract import ClosedFormModel
from tsad.series import Series
from tsad.training.checkpoints import load_weights, save_weights
from tsad.training.seeds import seeded
from tsad.windows import cut

FEATURES, LENGTH = 6, 16
SPECS = [from_defaults(member) for member in members(ModelSpec)]


def is_closed_form(spec):
    return isinstance(spec.build(FEATURES, LENGTH), ClosedFormModel)


every_model = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
every_network = pytest.mark.parametrize(
    "spec", [spec for spec in SPECS if not is_closed_form(spec)], ids=lambda spec: spec.kind
)
every_closed_form = pytest.mark.parametrize(
    "spec", [spec for spec in SPECS if is_closed_form(spec)], ids=lambda spec: spec.kind
)


def axes_of(spec):
    embedding = spec.build(FEATURES, LENGTH)(torch.zeros(1, LENGTH, FEATURES)).embedding
    return 0 if embedding is None else embedding.shape[1]


every_closed_form_with_axes = pytest.mark.parametrize(
    "spec", [spec for spec in SPECS if is_closed_form(spec) and axes_of(spec) >= 2], ids=lambda spec: spec.kind
)


@pytest.fixture
def series():
    return sensors(200, FEATURES)


def batch_of(series, length=LENGTH, size=8):
    windows = cut(series, length)
    return windows.take(torch.linspace(0, len(windows) - 1, size).long())


def test_every_kind_has_a_name_of_its_own():
    kinds = [kind_of(member) for member in members(ModelSpec)]
    assert len(set(kinds)) == len(kinds)


@every_model
@pytest.mark.parametrize("length", [7, 16, 33])
def test_a_prediction_is_of_the_last_steps_of_each_window(spec, length, series):
    model = built(spec, series, length)
    prediction = model(batch_of(series, length, size=5))
    assert 1 <= model.steps <= length
    assert prediction.values.shape == (5, model.steps, FEATURES)
    assert prediction.values.dtype == torch.float32
    assert torch.isfinite(prediction.values).all()
    assert prediction.embedding is None or (prediction.embedding.ndim == 2 and len(prediction.embedding) == 5)


@every_model
def test_a_window_may_be_a_single_row(spec):
    series = sensors(40, features=20)
    try:
        model = built(spec, series, length=1)
    except ValueError as error:  # a model that looks back says so
        assert "length=1" in str(error)  # noqa: PT017
        return
    assert model(batch_of(series, length=1, size=5)).values.shape == (5, 1, 20)


@every_closed_form
@pytest.mark.parametrize("features", [5, 7, 11, 38])  # of odd widths libraries compute some rows in another way
def test_a_prediction_does_not_depend_on_the_place_in_the_batch(spec, features):
    series = sensors(200, features)
    model, batch = built(spec, series, LENGTH), batch_of(series, size=BATCH)
    with torch.no_grad():
        expected = model(batch).residual(batch)
        for places in (1, 5, 33, 64, 127):
            moved = batch.roll(places, dims=0)
            assert torch.equal(model(moved).residual(moved).roll(-places, dims=0), expected)


@every_network
def test_gradient_reaches_every_parameter(spec, series):
    model = built(spec, series, LENGTH).train()
    windows = batch_of(series)
    prediction = model(windows)
    loss = (windows[:, -model.steps :] - prediction.values).square().mean()
    if prediction.embedding is not None:
        loss = loss + prediction.embedding.square().mean()
    loss.backward()
    untouched = [name for name, tensor in model.named_parameters() if tensor.grad is None or not tensor.grad.any()]
    assert list(model.parameters())
    assert not untouched


@every_network
def test_a_prediction_is_learned_from_the_window_it_is_of(spec, series):
    windows = batch_of(series).requires_grad_()
    built(spec, series, LENGTH).train()(windows).values[0].square().sum().backward()
    assert windows.grad[0].any()
    assert not windows.grad[1:].any()


@every_closed_form
def test_a_closed_form_has_no_parameters_and_keeps_what_it_learned(spec, series):
    model = built(spec, series, LENGTH)
    assert not list(model.parameters())
    assert spec.kind == "constant" or any(tensor.any() for tensor in model.state_dict().values())


@every_model
def test_the_same_seed_gives_the_same_model(spec, series):
    first, second = (built(spec, series, LENGTH, seed=5)(batch_of(series)) for _ in range(2))
    assert torch.equal(first.values, second.values)


@every_network
def test_another_seed_gives_another_network(spec, series):
    first, second = (built(spec, series, LENGTH, seed=seed)(batch_of(series)) for seed in (5, 6))
    assert not torch.equal(first.values, second.values)


@every_model
def test_a_prediction_does_not_depend_on_its_batch(spec, series):
    model, batch = built(spec, series, LENGTH), batch_of(series)
    together = model(batch).values
    alone = torch.cat([model(window[None]).values for window in batch])
    backwards = model(batch.flip(0)).values.flip(0)
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(backwards, together, atol=1e-6, rtol=1e-6)


@every_model
def test_a_window_gets_the_same_prediction_every_time_and_stays_as_it_is(spec, series):
    model, batch = built(spec, series, LENGTH), batch_of(series)
    before = batch.clone()
    assert torch.equal(model(batch).values, model(batch).values)
    assert torch.equal(batch, before)


@every_network
def test_one_small_batch_can_be_learned(spec, series):
    model, windows = built(spec, series, LENGTH).train(), batch_of(series)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    with seeded(0):
        for _ in range(300):
            loss = (windows[:, -model.steps :] - model(windows).values).square().mean()
            losses.append(loss.item())
            if losses[-1] < 0.5 * losses[0]:
                return
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    pytest.fail(f"after {len(losses)} steps, the loss went from {losses[0]} to {losses[-1]}, not to half")


@every_closed_form
def test_a_closed_form_explains_rows_that_never_change(spec):
    rows = torch.linspace(-3, 3, FEATURES).repeat(60, 1)
    series = Series(rows.numpy(), tuple("abcdef"))
    batch = batch_of(series)
    model = built(spec, series, LENGTH)
    torch.testing.assert_close(model(batch).values, batch[:, -model.steps :], atol=1e-4, rtol=0)


@every_closed_form_with_axes
def test_a_closed_form_with_axes_explains_rows_of_lower_rank(spec):
    time = torch.arange(300.0)[:, None] / 4
    rows = torch.hstack([time.sin(), time.cos()]) @ torch.randn(2, FEATURES, generator=torch.Generator().manual_seed(0))
    series = Series((rows + 1).numpy(), tuple("abcdef"))
    batch = batch_of(series)
    model = built(spec, series, LENGTH)
    assert float((batch[:, -model.steps :] - model(batch).values).square().mean()) < 1e-6


@every_model
def test_saved_weights_give_equal_predictions(spec, series, tmp_path):
    model, batch = built(spec, series, LENGTH, seed=1), batch_of(series)
    save_weights(model.state_dict(), tmp_path / "weights.safetensors")
    with seeded(2):
        other = spec.build(FEATURES, LENGTH).eval()
    load_weights(other, tmp_path / "weights.safetensors")
    assert torch.equal(other(batch).values, model(batch).values)


@every_model
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_is_fitted_and_predictions_where_its_windows_lie(spec, series):
    windows = cut(series, LENGTH)
    there = type(windows)(windows.rows.cuda(), windows.starts.cuda(), LENGTH)
    model = spec.build(FEATURES, LENGTH).cuda()
    if isinstance(model, ClosedFormModel):
        model.fit(there)
    batch = next(there.batches(8))
    assert model(batch).values.device == batch.device
