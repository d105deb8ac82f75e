"""Weights and the state of a training on disk: safetensors, written whole or not at all."""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tsad.errors import DetectorError, TrainingError

BEST, LAST, STATE = "best.safetensors", "last.safetensors", "training.safetensors"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backup:
    """A second place for the state of one training, which outlives the machine that trains: a mounted drive, say.

    Attributes:
        folder: Folder of this training alone.
        every: Epochs from one copy to the next; the last epoch is copied as well.
    """

    folder: Path
    every: int = 5

    @property
    def state(self) -> Path:
        """The copy of the state."""
        return self.folder / STATE

    def keep(self, state: Path) -> None:
        """Copies a state, whole or not at all; a folder that does not take it is warned of, and training goes on."""
        partial = self.state.with_suffix(".partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(state, partial)
            partial.replace(self.state)
        except OSError as error:
            logger.warning("%s: the state of training could not be copied there (%s)", self.folder, error)


@dataclass(frozen=True)
class Checkpoints:
    """Folder of the checkpoints of a training.

    Attributes:
        folder: Holds the weights of the best and the last epoch and the state to resume from, all up to date.
        resume: Go on from the state in `folder`, or else from that of the backup; without one, begin anew.
        fingerprint: Hash of everything that a resumed training must share with the interrupted one.
        backup: A second place for the state.
    """

    folder: Path
    resume: bool = False
    fingerprint: str = ""
    backup: Backup | None = None

    def below(self, name: str) -> "Checkpoints":
        """Returns the checkpoints of a part of the training, in a folder below this one and below that of the backup."""
        backup = None if self.backup is None else replace(self.backup, folder=self.backup.folder / name)
        return Checkpoints(self.folder / name, self.resume, f"{self.fingerprint} {name}", backup)

    def saved_state(self) -> Path | None:
        """Returns the state to resume from, None to begin anew."""
        paths = [self.folder / STATE] + ([] if self.backup is None else [self.backup.state])
        return next((path for path in paths if self.resume and path.exists()), None)

    def back_up(self, epoch: int, *, ended: bool = False) -> None:
        """Copies the state of an epoch to the backup if it is due, or if training has ended with it and it was not."""
        if self.backup is None or (epoch % self.backup.every == 0) == ended:
            return
        if (self.folder / STATE).exists():  # none was written where the backup was at the end already
            self.backup.keep(self.folder / STATE)


def save_weights(weights: Mapping[str, Tensor], path: Path, note: Mapping[str, Any] | None = None) -> None:
    """Writes tensors by name, and a note beside them; a kill in mid-write leaves the file that was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    metadata = None if note is None else {"note": json.dumps(note)}
    save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, partial, metadata)
    partial.replace(path)


def load_weights(model: nn.Module, path: Path) -> None:
    """Puts the tensors of a file into `model`; raises `DetectorError` if it is damaged or another model's."""
    try:
        weights = load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise DetectorError(f"{path}: must be a safetensors file, but {error}; save the detector again") from None
    _check_shapes(model, {name: tuple(tensor.shape) for name, tensor in weights.items()}, path)
    model.load_state_dict(weights)


def check_weights(model: nn.Module, path: Path) -> None:
    """Raises `DetectorError` unless the tensors of a file have the shapes of a model's; none of them is read."""
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, safetensors.SafetensorError) as error:
        raise DetectorError(f"{path}: must be a safetensors file, but {error}; save the detector again") from None
    _check_shapes(model, shapes, path)


def _check_shapes(model: nn.Module, shapes: dict[str, tuple[int, ...]], path: Path) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if shapes != expected:
        odd = sorted(name for name in expected.keys() | shapes.keys() if expected.get(name) != shapes.get(name))[0]
        raise DetectorError(
            f"{path}: weights must fit {type(model).__name__}, but {odd} should be {expected.get(odd, 'absent')} and is "
            f"{shapes.get(odd, 'absent')}; description and weights are of different detectors"
        )


def load_noted(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns the tensors of a file and the note beside them; raises `TrainingError` if it is damaged or has no note."""
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            note = json.loads((opened.metadata() or {})["note"])
            return {name: opened.get_tensor(name) for name in opened.keys()}, note  # noqa: SIM118 (not a mapping)
    except (OSError, safetensors.SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(f"{path}: must be the state of a training, but {error}; remove it to begin anew") from None
