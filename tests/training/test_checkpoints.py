import pytest
import torch
from torch import nn

from tsad.errors import DetectorError
from tsad.training import checkpoints
from tsad.training.checkpoints import load_weights, save_weights


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "deep" / "weights.safetensors"
    save_weights(nn.Linear(3, 2).state_dict(), path)
    return path


def test_weights_come_back_as_they_were(tmp_path):
    layer, other = nn.Linear(3, 2), nn.Linear(3, 2)
    save_weights(layer.state_dict(), tmp_path / "weights.safetensors")
    load_weights(other, tmp_path / "weights.safetensors")
    assert torch.equal(other.weight, layer.weight)
    assert torch.equal(other.bias, layer.bias)


def test_weights_that_lie_across_memory_are_saved(tmp_path):
    crossed = torch.arange(6.0).reshape(2, 3).T
    save_weights({"weight": crossed}, tmp_path / "weights.safetensors")
    module = nn.Module()
    module.register_buffer("weight", torch.zeros(3, 2))
    load_weights(module, tmp_path / "weights.safetensors")
    assert torch.equal(module.weight, crossed)


def test_a_kill_in_mid_write_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def killed(weights, path, metadata):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        save_weights(nn.Linear(3, 2).state_dict(), saved)
    assert saved.read_bytes() == before


@pytest.mark.parametrize("keep", [0, 7, 40, -1])
def test_a_damaged_file_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(
        DetectorError, match=r"weights\.safetensors: must be a safetensors file, but .*save the detector again"
    ):
        load_weights(nn.Linear(3, 2), saved)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DetectorError, match=r"absent\.safetensors: must be a safetensors file, but .*[Nn]o such file"):
        load_weights(nn.Linear(3, 2), tmp_path / "absent.safetensors")


def test_weights_of_other_shapes_are_refused(saved):
    with pytest.raises(
        DetectorError, match=r"must fit Linear, but weight should be \(2, 4\) and is \(2, 3\); .* different"
    ):
        load_weights(nn.Linear(4, 2), saved)


def test_weights_of_other_names_are_refused(saved):
    with pytest.raises(DetectorError, match=r"must fit Linear, but bias should be absent and is \(2,\)"):
        load_weights(nn.Linear(3, 2, bias=False), saved)


def test_refused_weights_leave_the_model_as_it_was(saved):
    layer = nn.Linear(4, 2)
    before = layer.weight.clone()
    with pytest.raises(DetectorError, match="must fit"):
        load_weights(layer, saved)
    assert torch.equal(layer.weight, before)
