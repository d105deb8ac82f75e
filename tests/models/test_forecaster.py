import pytest
import torch

from tsad.errors import SpecError
from tsad.models.lstm_ae import LstmAutoencoderSpec
from tsad.models.recurrent_forecaster import RecurrentForecasterSpec
from tsad.spec import parse

every_cell = pytest.mark.parametrize("cell", ["lstm", "gru"])


def forecaster(length=9, **keys):
    return RecurrentForecasterSpec(kind="recurrent_forecaster", **keys).build(3, length).eval()


@every_cell
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_forecast_does_not_see_its_target(cell, layers):
    model, windows = forecaster(cell=cell, layers=layers), torch.randn(4, 9, 3)
    other = windows.clone()
    other[:, -1] = 1e6
    prediction = model(windows)
    assert prediction.values.shape == (4, 1, 3)
    assert torch.equal(model(other).values, prediction.values)
    assert torch.equal(model(other).embedding, prediction.embedding)


@every_cell
def test_a_forecast_sees_every_row_before_its_target(cell):
    model, windows = forecaster(cell=cell), torch.randn(1, 9, 3, requires_grad=True)
    model(windows).values.sum().backward()
    reached = windows.grad[0].abs().sum(dim=1) > 0
    assert reached.tolist() == [True] * 8 + [False]


def test_a_single_row_leaves_nothing_to_forecast_from():
    with pytest.raises(ValueError, match="needs a row to forecast from, but got window length=1; take 2 or more rows"):
        forecaster(length=1)


@pytest.mark.parametrize("wrong", [{"layers": 4}, {"hidden": 16}, {"hidden": 512}, {"dropout": 0.5}, {"cell": "rnn"}])
def test_sizes_outside_the_classic_space_are_refused(wrong):
    with pytest.raises(SpecError, match=next(iter(wrong))):
        parse(RecurrentForecasterSpec, {"kind": "recurrent_forecaster"} | wrong, "model")


def test_dropout_is_silent_in_use():
    model, windows = forecaster(dropout=0.3, layers=2), torch.randn(2, 9, 3)
    assert torch.equal(model(windows).values, model(windows).values)
    model.train()
    assert not torch.equal(model(windows).values, model(windows).values)


def test_a_gru_has_a_quarter_fewer_recurrent_weights():
    sizes = [
        sum(
            parameter.numel()
            for name, parameter in LstmAutoencoderSpec(kind="lstm_ae", cell=cell).build(3, 9).named_parameters()
            if name.startswith(("encoder", "decoder"))
        )
        for cell in ("lstm", "gru")
    ]
    assert sizes[1] == sizes[0] * 3 // 4
