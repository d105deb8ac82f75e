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
from tsad.training.state import OptimizerState, TrainingState, load_state, save_state
from tsad.windows import Windows


class TrainingSpec(Spec):
    """Length, speed and optimizer of a training: the section `training` of an experiment.

    Attributes:
        epochs: Largest number of passes over the training windows; 0 leaves the model untrained.
        batch_size: Number of windows in a training step, B.
        learning_rate: Learning rate of the model, and of every adversary that has none of its own.
        patience: Number of epochs without a better validation loss after which training stops.
        optimizer: Optimizer of the model and of every adversary.
        clip: Largest norm of a gradient, to which longer ones are shortened; None for no clipping.
        schedule: Change of all learning rates from epoch to epoch.
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
        model: Model that is trained.
        trainables: Modules that take a step on each batch, in this order; the first holds the model.
        spec: Epochs, batch size, learning rate and stopping rule.
        windows: Training and validation windows, on the model's device.
        generator: Draws the order of windows and the masks.
        on_epoch: Called with the losses and the best weights so far after each epoch, and once more with those of the
            last finished epoch when a training is resumed, since it may have been killed before the call; an exception
            that it raises ends training.
        checkpoints: Files of the best and last weights and of the state to resume from, or None to write none.

    Returns:
        The losses of each epoch, oldest first.

    Raises:
        TrainingError: as soon as a loss is not finite, or if the state to resume from is of another training.
    """
    if spec.epochs == 0:  # an untrained copy: the first optimizer of a process takes seconds to import
        model.eval()
        return []
    states = [_optimizer_state(trainable, spec) for trainable in trainables]
    progress = TrainingState(best_weights=_copy(model))
    if checkpoints is not None and (saved_state := checkpoints.saved_state()) is not None:
        progress = load_state(saved_state, states, generator, checkpoints.fingerprint)
        save_weights(progress.best_weights, checkpoints.folder / BEST)  # a backup is of the state alone
        save_weights(model.state_dict(), checkpoints.folder / LAST)
        on_epoch(progress.history, progress.best_weights)
    while progress.epoch < spec.epochs and progress.epoch - progress.best_epoch < spec.patience:
        epoch = progress.epoch + 1
        trained = _epoch(states, spec, windows[0], generator, epoch)
        validated = _validate(states, spec, windows[1], epoch)
        losses = EpochLosses(
            epoch, trained, validated, tuple(name for trainable in trainables for name in trainable.comparable)
        )
        if losses.loss < progress.best_loss:
            progress.best_epoch, progress.best_weights = epoch, _copy(model)
        progress.history.append(losses)
        if checkpoints is not None:
            _save(checkpoints, model, states, progress, generator)
        on_epoch(progress.history, progress.best_weights)
    if checkpoints is not None:
        checkpoints.back_up(progress.epoch, ended=True)
    model.load_state_dict(progress.best_weights)
    model.eval()
    return progress.history


def _optimizer_state(trainable: Trainable, spec: TrainingSpec) -> OptimizerState:
    rate = spec.learning_rate if trainable.learning_rate is None else trainable.learning_rate
    return OptimizerState(trainable, spec.optimizer.build(trainable.module.parameters(), rate), rate)


def _copy(model: Model) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _save(
    checkpoints: Checkpoints,
    model: Model,
    states: Sequence[OptimizerState],
    progress: TrainingState,
    generator: Generator,
) -> None:
    """Brings all files of the folder up to date, the state last: what it describes is then there."""
    if progress.best_epoch == progress.epoch:
        save_weights(progress.best_weights, checkpoints.folder / BEST)
    save_weights(model.state_dict(), checkpoints.folder / LAST)
    save_state(checkpoints.folder / STATE, states, progress, generator, checkpoints.fingerprint)
    checkpoints.back_up(progress.epoch)


def _epoch(
    states: Sequence[OptimizerState], spec: TrainingSpec, windows: Windows, generator: Generator, epoch: int
) -> dict[str, float]:
    for state in states:
        state.trainable.module.train()
        state.trainable.judges.train()
        for group in state.optimizer.param_groups:
            group["lr"] = state.learning_rate * spec.schedule.factor(epoch, spec.epochs)
    done = (epoch - 1) / max(1, spec.epochs - 1)
    sums = _Sums()
    order = torch.randperm(len(windows), generator=generator).to(windows.starts.device)
    for number, batch in enumerate(windows.batches(spec.batch_size, order)):
        for state in states:
            if number % state.trainable.every == 0:
                with _precision(spec, batch):
                    terms = state.trainable.terms(batch, generator, done)
                _refuse_non_finite(terms, f"epoch {epoch}, batch {number}")
                _step(state, terms, spec.clip)
                sums.add(terms, len(batch))
    return sums.means()


def _step(state: OptimizerState, terms: dict[str, Tensor], clip: float | None) -> None:
    """Moves the parameters of a trainable, and of nobody else, down the gradient of the sum of its terms."""
    parameters = list(state.trainable.module.parameters())
    state.optimizer.zero_grad()
    torch.autograd.backward(torch.stack(list(terms.values())).sum(), inputs=parameters)
    if clip is not None:
        nn.utils.clip_grad_norm_(parameters, clip)
    state.optimizer.step()


@torch.no_grad()
def _validate(states: Sequence[OptimizerState], spec: TrainingSpec, windows: Windows, epoch: int) -> dict[str, float]:
    """Returns the mean terms, with masks that are the same in every epoch."""
    generator = Generator().manual_seed(0)
    for state in states:
        state.trainable.module.eval()
        state.trainable.judges.eval()
    sums = _Sums()
    for number, batch in enumerate(windows.batches(spec.batch_size)):
        for state in states:
            with _precision(spec, batch):
                terms = state.trainable.terms(batch, generator)
            _refuse_non_finite(terms, f"validation of epoch {epoch}, batch {number}")
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
