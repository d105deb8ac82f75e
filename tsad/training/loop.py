"""The one training loop: every player takes its step on every batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import Field
from torch import Generator, Tensor

from tsad.errors import TrainingError
from tsad.models.contract import Model
from tsad.spec import Spec
from tsad.training.checkpoints import save_weights
from tsad.training.objective import Player
from tsad.windows import Windows


class TrainingSpec(Spec):
    """How long and how fast.

    Attributes:
        epochs: Passes over the training windows, at most.
        batch_size: Windows in a step, B.
        learning_rate: Of Adam.
        patience: Epochs without a better validation loss before training stops.
    """

    epochs: int = Field(10, ge=1)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    patience: int = Field(5, ge=1)


@dataclass(frozen=True)
class EpochLosses:
    """Mean losses of one epoch.

    Attributes:
        epoch: From 1 on.
        train: Weighted loss by term, mean over batches.
        validation: Weighted loss by term on the validation windows, nothing updated.
    """

    epoch: int
    train: dict[str, float]
    validation: dict[str, float]

    def curves(self) -> dict[str, float]:
        """Returns all losses as `train/TERM` and `validation/TERM`, and the sums as `train/loss` and `validation/loss`."""
        named = {"train": self.train, "validation": self.validation}
        return {f"{side}/loss": sum(terms.values()) for side, terms in named.items()} | {
            f"{side}/{term}": value for side, terms in named.items() for term, value in terms.items()
        }


def train(
    model: Model,
    players: Sequence[Player],
    spec: TrainingSpec,
    windows: tuple[Windows, Windows],
    generator: Generator,
    on_epoch: Callable[[EpochLosses], None],
    folder: Path | None,
) -> list[EpochLosses]:
    """Trains `model`, and leaves it with the weights of the epoch that had the lowest validation loss.

    Args:
        model: What is trained; among the players' modules.
        players: Who takes a step on each batch, in turn.
        spec: How long and how fast.
        windows: Training and validation windows, on the model's device.
        generator: Draws the order of windows and the masks.
        on_epoch: Called after each epoch; what it raises ends the training.
        folder: Where `best.safetensors` and `last.safetensors` are kept up to date, or None.

    Returns:
        The losses of each epoch, oldest first.

    Raises:
        TrainingError: as soon as a loss is not finite.
    """
    optimizers = [torch.optim.Adam(player.module.parameters(), lr=spec.learning_rate) for player in players]
    history: list[EpochLosses] = []
    best_epoch, best_loss, best_weights = 0, float("inf"), _copy(model)
    for epoch in range(1, spec.epochs + 1):
        trained = _epoch(players, optimizers, windows[0], spec.batch_size, generator, epoch)
        validated = _validate(players, windows[1], spec.batch_size, epoch)
        history.append(EpochLosses(epoch, trained, validated))
        if sum(validated.values()) < best_loss:
            best_epoch, best_loss, best_weights = epoch, sum(validated.values()), _copy(model)
            if folder is not None:
                save_weights(best_weights, folder / "best.safetensors")
        if folder is not None:
            save_weights(model.state_dict(), folder / "last.safetensors")
        on_epoch(history[-1])
        if epoch - best_epoch >= spec.patience:
            break
    model.load_state_dict(best_weights)
    model.eval()
    return history


def _copy(model: Model) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _epoch(
    players: Sequence[Player],
    optimizers: Sequence[torch.optim.Optimizer],
    windows: Windows,
    batch_size: int,
    generator: Generator,
    epoch: int,
) -> dict[str, float]:
    for player in players:
        player.module.train()
    sums: dict[str, Tensor] = {}
    order = torch.randperm(len(windows), generator=generator).to(windows.starts.device)
    for place, batch in enumerate(windows.batches(batch_size, order)):
        for player, optimizer in zip(players, optimizers, strict=True):
            terms = player.terms(batch, generator)
            _refuse_non_finite(terms, f"epoch {epoch}, batch {place}")
            optimizer.zero_grad()
            torch.autograd.backward(torch.stack(list(terms.values())).sum())
            optimizer.step()
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros(())) + value.detach().cpu() * len(batch)
    return {name: float(value) / len(windows) for name, value in sums.items()}


@torch.no_grad()
def _validate(players: Sequence[Player], windows: Windows, batch_size: int, epoch: int) -> dict[str, float]:
    """Returns the mean terms, with masks that are the same in every epoch."""
    generator = Generator().manual_seed(0)
    for player in players:
        player.module.eval()
    sums: dict[str, float] = {}
    for place, batch in enumerate(windows.batches(batch_size)):
        for player in players:
            terms = player.terms(batch, generator)
            _refuse_non_finite(terms, f"validation of epoch {epoch}, batch {place}")
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch)
    return {name: value / len(windows) for name, value in sums.items()}


def _refuse_non_finite(terms: dict[str, Tensor], where: str) -> None:
    for name, value in terms.items():
        if not torch.isfinite(value):
            raise TrainingError(
                f"a loss must be finite, but {name} is {float(value.detach())} in {where}; lower training.learning_rate, or look "
                f"for extreme values in the data"
            )
