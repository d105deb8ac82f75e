"""Progress of long commands on the terminal, drawn from the events of the workflows."""

import sys
import time
from typing import Any, Self

import click
from tqdm import tqdm

from tsad.selection.trial import Trial
from tsad.workflows.events import (
    EntityEnded,
    EpochEnded,
    Event,
    FleetStarted,
    Message,
    RowsRead,
    SearchStarted,
    TrainingStarted,
    TrialEnded,
    TrialEpochEnded,
)


def _bar(total: int | None, unit: str, desc: str, **style: bool) -> "tqdm[Any]":
    """Returns a progress bar, which is quiet where the output is no terminal."""
    return tqdm(total=total, unit=unit, desc=desc, disable=None, **style)  # type: ignore[call-overload,no-any-return]


class _Progress:
    """Base of the callbacks: a context manager that closes the progress bar."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class TrainProgress(_Progress):
    """Callback that draws a progress bar of epochs; quiet where the output is no terminal."""

    def __call__(self, event: Event) -> None:
        """Shows an event."""
        match event:
            case TrainingStarted():
                self._close()
                self._bar = _bar(event.epochs, "epoch", event.name)
            case EpochEnded() if self._bar is not None:
                losses = {name: f"{value:.4g}" for name, value in event.losses.items() if name.endswith("/loss")}
                self._bar.set_postfix(losses)
                self._bar.update(event.epoch - self._bar.n)
            case Message():
                tqdm.write(event.text, file=sys.stdout)
                sys.stdout.flush()


class SearchProgress(_Progress):
    """Callback that prints a line for each trial: how it ended, the best so far, and the time left."""

    def __init__(self) -> None:
        super().__init__()
        self._trials = 0
        self._ended: list[Trial] = []
        self._start = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Shows an event."""
        match event:
            case Message():
                click.echo(event.text)
            case SearchStarted():
                click.echo(
                    f"searching {event.data}: {event.trials} trials by {event.algorithm}, {event.parallel} side by side, "
                    f"{event.cpus:g} cores each; maximizing {event.objective}"
                )
                self._trials, self._ended = event.trials, list(event.ended)
                self._bar = _bar(event.trials, "trial", "search", leave=False)
                self._bar.update(len(event.ended))
            case TrialEpochEnded() if self._bar is not None:
                self._bar.set_postfix_str(f"{event.candidate.name} epoch {event.epoch}")
            case TrialEnded() if self._bar is not None:
                self._ended.append(event.trial)
                self._bar.write(self._line(event.trial))
                sys.stdout.flush()  # whoever follows a log sees the line at once
                self._bar.update()

    def _line(self, trial: Trial) -> str:
        count, width = len(self._ended), len(str(self._trials))
        line = f"[{count:>{width}}/{self._trials}] {trial.candidate.name:<24} {trial.state:<8} {trial.seconds:6.1f} s"
        if trial.state == "failed":
            return f"{line}  {trial.reason}"
        if trial.reused:
            line = f"{line} of run {trial.reused}"
        best = min(self._ended, key=lambda ended: ended.rank)
        left = (time.monotonic() - self._start) / count * (self._trials - count)
        value = "-" if trial.value is None else f"{trial.value:.4f}"
        return f"{line}  value {value}, best {best.value or 0:.4f} by {best.candidate.name}, about {left:.0f} s left"


class FleetProgress(_Progress):
    """Callback that draws a progress bar of entities or files, and names those that fail at once.

    Args:
        unit: Name of what is counted.
    """

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def __call__(self, event: Event) -> None:
        """Shows an event."""
        match event:
            case FleetStarted():
                click.echo(f"{event.total - event.done} of {event.total} to do")
                self._bar = _bar(event.total, self._unit, "fleet", leave=False)
                self._bar.update(event.done)
            case EntityEnded() if self._bar is not None:
                if event.error:
                    self._bar.write(f"{event.name}: {event.error}")
                self._bar.update()
            case Message():
                tqdm.write(event.text, file=sys.stdout)


class RowsProgress(_Progress):
    """Callback that draws a progress bar of what was read of a file, and prints messages."""

    def __call__(self, event: Event) -> None:
        """Shows an event."""
        match event:
            case Message():
                click.echo(event.text)
            case RowsRead():
                if self._bar is None:
                    self._bar = _bar(event.total, event.unit, event.name, unit_scale=True)
                self._bar.total = event.total
                self._bar.set_description(event.name, refresh=False)
                self._bar.update(event.done - self._bar.n)
