"""The one training loop: every trainable takes its step on every batch."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from tsad.errors import TrainingError
from tsad.models.contract import Model
from tsad.spec import Spec
from tsad.training.checkpoints import BEST, LAST, STATE, Checkpoints, save_weights
from tsad.training.epoch_losses import EpochLosses
from tsad.training.objective import Trainable
from tsad.training.optimizers import AdamSpec, ConstantRate, OptimizerSpec, RateSpec
from tsad.training.state import Seat, Standing, load_state, save_state
from tsad.windows import Windows


class TrainingSpec(Spec):
    """How long and how fast.

    Attributes:
        epochs: Passes over the training windows, at most; 0 leaves the model untrained.
        batch_size: Windows in a step, B.
        learning_rate: Of every trainable that has none of its own.
        patience: Epochs without a better validation loss before training stops.
        optimizer: Of every trainable.
        clip: Largest norm of a trainable's gradient, longer ones are shortened to it; none are if not given.
        schedule: Of all learning rates, from epoch to epoch.
        precision: `bfloat16` runs matrix products in bfloat16 (autocast; weights stay float32), in training only.
    """

    epochs: int = Field(10, ge=0)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    patience: int = Field(5, ge=1)
    optimizer: OptimizerSpec = AdamSpec()
    clip: float | None = Field(None, gt=0)
    schedule: RateSpec = ConstantRate()
    precision: Literal["float32", "bfloat16"] = "float32"


def train(
    model: Model,
    trainables: Sequence[Trainable],
    spec: TrainingSpec,
    windows: tuple[Windows, Windows],
    generator: Generator,
    on_epoch: Callable[[Sequence[EpochLosses], Mapping[str, Tensor]], None],
    checkpoints: Checkpoints | None,
) -> list[EpochLosses]:
    """Trains `model`, and leaves it with the weights of the epoch that had the lowest validation loss.

    Args:
        model: What is trained; the first trainable's module.
        trainables: Who takes a step on each batch, in turn.
        spec: How long and how fast.
        windows: Training and validation windows, on the model's device.
        generator: Draws the order of windows and the masks.
        on_epoch: Called with the losses and the best weights so far after each epoch, and once more with those of the
            last finished epoch when a training is resumed, since it may have been killed before it could tell; what it
            raises ends training.
        checkpoints: Where best and last weights and the state to resume from are kept, or None.

    Returns:
        The losses of each epoch, oldest first.

    Raises:
        TrainingError: as soon as a loss is not finite, or if the state to resume from is of another training.
    """
    if spec.epochs == 0:  # an untrained copy: the first optimizer of a process takes seconds to import
        model.eval()
        return []
    seats = [_seat(trainable, spec) for trainable in trainables]
    standing = Standing(best_weights=_copy(model))
    if checkpoints is not None and (left := checkpoints.left()) is not None:
        standing = load_state(left, seats, generator, checkpoints.fingerprint)
        save_weights(standing.best_weights, checkpoints.folder / BEST)  # a backup is of the state alone
        save_weights(model.state_dict(), checkpoints.folder / LAST)
        on_epoch(standing.history, standing.best_weights)
    while standing.epoch < spec.epochs and standing.epoch - standing.best_epoch < spec.patience:
        epoch = standing.epoch + 1
        trained = _epoch(seats, spec, windows[0], generator, epoch)
        validated = _validate(seats, spec, windows[1], epoch)
        losses = EpochLosses(
            epoch, trained, validated, tuple(name for trainable in trainables for name in trainable.comparable)
        )
        if losses.loss < standing.best_loss:
            standing.best_epoch, standing.best_weights = epoch, _copy(model)
        standing.history.append(losses)
        if checkpoints is not None:
            _keep(checkpoints, model, seats, standing, generator)
        on_epoch(standing.history, standing.best_weights)
    if checkpoints is not None:
        checkpoints.back_up(standing.epoch, ended=True)
    model.load_state_dict(standing.best_weights)
    model.eval()
    return standing.history


def _seat(trainable: Trainable, spec: TrainingSpec) -> Seat:
    rate = spec.learning_rate if trainable.learning_rate is None else trainable.learning_rate
    return Seat(trainable, spec.optimizer.build(trainable.module.parameters(), rate), rate)


def _copy(model: Model) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _keep(
    checkpoints: Checkpoints, model: Model, seats: Sequence[Seat], standing: Standing, generator: Generator
) -> None:
    """Brings all files of the folder up to date, the state last: what it describes is then there."""
    if standing.best_epoch == standing.epoch:
        save_weights(standing.best_weights, checkpoints.folder / BEST)
    save_weights(model.state_dict(), checkpoints.folder / LAST)
    save_state(checkpoints.folder / STATE, seats, standing, generator, checkpoints.fingerprint)
    checkpoints.back_up(standing.epoch)


def _epoch(
    seats: Sequence[Seat], spec: TrainingSpec, windows: Windows, generator: Generator, epoch: int
) -> dict[str, float]:
    for seat in seats:
        seat.trainable.module.train()
        seat.trainable.judges.train()
        for group in seat.optimizer.param_groups:
            group["lr"] = seat.learning_rate * spec.schedule.factor(epoch, spec.epochs)
    progress = (epoch - 1) / max(1, spec.epochs - 1)
    sums = _Sums()
    order = torch.randperm(len(windows), generator=generator).to(windows.starts.device)
    for place, batch in enumerate(windows.batches(spec.batch_size, order)):
        for seat in seats:
            if place % seat.trainable.every == 0:
                with _precision(spec, batch):
                    terms = seat.trainable.terms(batch, generator, progress)
                _refuse_non_finite(terms, f"epoch {epoch}, batch {place}")
                _step(seat, terms, spec.clip)
                sums.add(terms, len(batch))
    return sums.means()


def _step(seat: Seat, terms: dict[str, Tensor], clip: float | None) -> None:
    """Moves the parameters of a trainable, and of nobody else, down the gradient of the sum of its terms."""
    parameters = list(seat.trainable.module.parameters())
    seat.optimizer.zero_grad()
    torch.autograd.backward(torch.stack(list(terms.values())).sum(), inputs=parameters)
    if clip is not None:
        nn.utils.clip_grad_norm_(parameters, clip)
    seat.optimizer.step()


@torch.no_grad()
def _validate(seats: Sequence[Seat], spec: TrainingSpec, windows: Windows, epoch: int) -> dict[str, float]:
    """Returns the mean terms, with masks that are the same in every epoch."""
    generator = Generator().manual_seed(0)
    for seat in seats:
        seat.trainable.module.eval()
        seat.trainable.judges.eval()
    sums = _Sums()
    for place, batch in enumerate(windows.batches(spec.batch_size)):
        for seat in seats:
            with _precision(spec, batch):
                terms = seat.trainable.terms(batch, generator)
            _refuse_non_finite(terms, f"validation of epoch {epoch}, batch {place}")
            sums.add(terms, len(batch))
    return sums.means()


class _Sums:
    """Losses summed over windows, without a wait for the device before the end."""

    def __init__(self) -> None:
        self.totals: dict[str, Tensor] = {}
        self.windows: dict[str, int] = {}

    def add(self, terms: dict[str, Tensor], windows: int) -> None:
        """Adds the mean losses of a batch."""
        for name, value in terms.items():
            total = value.detach().double() * windows
            self.totals[name] = self.totals[name] + total if name in self.totals else total
            self.windows[name] = self.windows.get(name, 0) + windows

    def means(self) -> dict[str, float]:
        """Returns the mean over all windows by name."""
        return {name: float(total) / self.windows[name] for name, total in self.totals.items()}


def _precision(spec: TrainingSpec, batch: Tensor) -> AbstractContextManager[object]:
    return torch.autocast(batch.device.type, torch.bfloat16, enabled=spec.precision == "bfloat16")


def _refuse_non_finite(terms: dict[str, Tensor], where: str) -> None:
    for name, value in terms.items():
        if not torch.isfinite(value):
            raise TrainingError(
                f"a loss must be finite, but {name} is {float(value.detach())} in {where}; lower training.learning_rate, or look "
                f"for extreme values in the data"
            )
