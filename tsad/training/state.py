"""The whole state of a training as one file, so that an interrupted training resumes with the same result."""

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
class TrainingState:
    """Progress of a training.

    Attributes:
        best_weights: Weights of the model at the epoch with the lowest validation loss; before it, the initial weights.
        best_epoch: Epoch with the lowest validation loss, from 1 on; 0 before the first epoch has ended.
        history: Losses of the epochs that have ended, the oldest first.
    """

    best_weights: dict[str, Tensor]
    best_epoch: int = 0
    history: list[EpochLosses] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Number of epochs that have ended."""
        return len(self.history)

    @property
    def best_loss(self) -> float:
        """The lowest validation loss, infinite before the first epoch."""
        return self.history[self.best_epoch - 1].loss if self.best_epoch else float("inf")


@dataclass(frozen=True, eq=False)
class OptimizerState:
    """A trainable with its optimizer.

    Attributes:
        trainable: Module whose parameters the optimizer changes, with its losses.
        optimizer: Optimizer of that module's parameters alone.
        learning_rate: Learning rate before the schedule is applied.
    """

    trainable: Trainable
    optimizer: torch.optim.Optimizer
    learning_rate: float


def save_state(
    path: Path, states: Sequence[OptimizerState], progress: TrainingState, generator: Generator, fingerprint: str
) -> None:
    """Writes weights, what terms gathered, optimizer moments, best weights, losses and the states of all generators.

    One file, so that its parts are always of the same epoch.
    """
    tensors = {f"best/{name}": tensor for name, tensor in progress.best_weights.items()}
    tensors["generator"] = generator.get_state()
    tensors["global_generator"] = torch.get_rng_state()
    if _device(states).type == "cuda":
        tensors["cuda_generator"] = torch.cuda.get_rng_state()
    for state in states:
        for part, module in _modules(state.trainable).items():
            tensors |= {f"{part}/{name}": tensor for name, tensor in module.state_dict().items()}
        for index, moments in state.optimizer.state_dict()["state"].items():
            tensors |= {f"{state.trainable.name}.optimizer/{index}/{name}": value for name, value in moments.items()}
    note = {
        "format": "tsad-training-1",
        "fingerprint": fingerprint,
        "best_epoch": progress.best_epoch,
        "history": [asdict(losses) for losses in progress.history],
    }
    save_weights({name: tensor.detach().clone() for name, tensor in tensors.items()}, path, note)


def load_state(path: Path, states: Sequence[OptimizerState], generator: Generator, fingerprint: str) -> TrainingState:
    """Puts everything back where `save_state` took it from, and returns the progress of the training.

    Raises:
        TrainingError: if the file is damaged, or is the state of another training.
    """
    tensors, note = load_noted(path)
    if note.get("format") != "tsad-training-1" or note["fingerprint"] != fingerprint:
        raise TrainingError(
            f"{path}: must be the state of this very training, but seed, data, model or objective differ; remove it to "
            f"begin anew, or take another folder"
        )
    for state in states:
        for part, module in _modules(state.trainable).items():
            module.load_state_dict(_below(f"{part}/", tensors))
        _load_moments(state.optimizer, _below(f"{state.trainable.name}.optimizer/", tensors))
    generator.set_state(tensors["generator"])
    torch.set_rng_state(tensors["global_generator"])
    if "cuda_generator" in tensors and _device(states).type == "cuda":
        torch.cuda.set_rng_state(tensors["cuda_generator"])
    history = [EpochLosses(**losses | {"comparable": tuple(losses["comparable"])}) for losses in note["history"]]
    best = {name: tensor.to(_device(states)) for name, tensor in _below("best/", tensors).items()}
    return TrainingState(best, note["best_epoch"], history)


def _device(states: Sequence[OptimizerState]) -> torch.device:
    return next(states[0].trainable.module.parameters()).device


def _modules(trainable: Trainable) -> dict[str, nn.Module]:
    return {f"{trainable.name}.module": trainable.module, f"{trainable.name}.judges": trainable.judges}


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _load_moments(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    moments: dict[int, dict[str, Any]] = {}
    for path, tensor in tensors.items():
        index, _, name = path.partition("/")
        moments.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
