"""All that training changes, as one file: a training that was killed goes on as if it had not been."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from tsad.errors import TrainingError
from tsad.training.checkpoints import load_noted, save_weights
from tsad.training.epoch_losses import EpochLosses
from tsad.training.objective import Trainable


@dataclass
class Standing:
    """How far a training has come.

    Attributes:
        best_weights: Of the model, at the epoch with the lowest validation loss; the initial ones before the first.
        best_epoch: That epoch, 0 before the first.
        history: Losses of each epoch, oldest first.
    """

    best_weights: dict[str, Tensor]
    best_epoch: int = 0
    history: list[EpochLosses] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def best_loss(self) -> float:
        """The lowest validation loss, infinite before the first epoch."""
        return self.history[self.best_epoch - 1].loss if self.best_epoch else float("inf")


@dataclass(frozen=True, eq=False)
class Seat:
    """A trainable at work.

    Attributes:
        trainable: Who.
        optimizer: Its own.
        learning_rate: Before any schedule.
    """

    trainable: Trainable
    optimizer: torch.optim.Optimizer
    learning_rate: float


def save_state(path: Path, seats: Sequence[Seat], standing: Standing, generator: Generator, fingerprint: str) -> None:
    """Writes weights, what terms gathered, optimizer moments, best weights, losses and the states of all generators.

    One file, so that its parts are always of the same epoch.
    """
    tensors = {f"best/{name}": tensor for name, tensor in standing.best_weights.items()}
    tensors["generator"] = generator.get_state()
    tensors["global_generator"] = torch.get_rng_state()
    if _device(seats).type == "cuda":
        tensors["cuda_generator"] = torch.cuda.get_rng_state()
    for seat in seats:
        for part, module in _modules(seat.trainable).items():
            tensors |= {f"{part}/{name}": tensor for name, tensor in module.state_dict().items()}
        for place, moments in seat.optimizer.state_dict()["state"].items():
            tensors |= {f"{seat.trainable.name}.optimizer/{place}/{name}": value for name, value in moments.items()}
    note = {
        "format": "tsad-training-1",
        "fingerprint": fingerprint,
        "best_epoch": standing.best_epoch,
        "history": [asdict(losses) for losses in standing.history],
    }
    save_weights({name: tensor.detach().clone() for name, tensor in tensors.items()}, path, note)


def load_state(path: Path, seats: Sequence[Seat], generator: Generator, fingerprint: str) -> Standing:
    """Puts everything back where `save_state` took it from, and returns how far the training had come.

    Raises:
        TrainingError: if the file is damaged, or is the state of another training.
    """
    tensors, note = load_noted(path)
    if note.get("format") != "tsad-training-1" or note["fingerprint"] != fingerprint:
        raise TrainingError(
            f"{path}: must be the state of this very training, but seed, data, model or objective differ; remove it to "
            f"begin anew, or take another folder"
        )
    for seat in seats:
        for part, module in _modules(seat.trainable).items():
            module.load_state_dict(_below(f"{part}/", tensors))
        _load_moments(seat.optimizer, _below(f"{seat.trainable.name}.optimizer/", tensors))
    generator.set_state(tensors["generator"])
    torch.set_rng_state(tensors["global_generator"])
    if "cuda_generator" in tensors and _device(seats).type == "cuda":
        torch.cuda.set_rng_state(tensors["cuda_generator"])
    history = [EpochLosses(**losses | {"comparable": tuple(losses["comparable"])}) for losses in note["history"]]
    best = {name: tensor.to(_device(seats)) for name, tensor in _below("best/", tensors).items()}
    return Standing(best, note["best_epoch"], history)


def _device(seats: Sequence[Seat]) -> torch.device:
    return next(seats[0].trainable.module.parameters()).device


def _modules(trainable: Trainable) -> dict[str, nn.Module]:
    return {f"{trainable.name}.module": trainable.module, f"{trainable.name}.judges": trainable.judges}


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _load_moments(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    moments: dict[int, dict[str, Any]] = {}
    for path, tensor in tensors.items():
        place, _, name = path.partition("/")
        moments.setdefault(int(place), {})[name] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
