"""Weights on disk: safetensors, written whole or not at all."""

from collections.abc import Mapping
from pathlib import Path

import safetensors
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tsad.errors import DetectorError


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Writes tensors by name; a kill in mid-write leaves the file that was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, partial)
    partial.replace(path)


def load_weights(model: nn.Module, path: Path) -> None:
    """Puts the tensors of a file into `model`; raises `DetectorError` if it is damaged or another model's."""
    try:
        weights = load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise DetectorError(f"{path}: must be a safetensors file, but {error}; save the detector again") from None
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if found != expected:
        odd = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))[0]
        raise DetectorError(
            f"{path}: weights must fit {type(model).__name__}, but {odd} should be {expected.get(odd, 'absent')} and is "
            f"{found.get(odd, 'absent')}; description and weights are of different detectors"
        )
    model.load_state_dict(weights)
