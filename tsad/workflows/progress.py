"""What a person sees of a search while it runs."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from tsad.selection.trial import Candidate, Trial
from tsad.tuning.session import TrialListener


class Watch:
    """Passes trials on to another listener and prints a line for each: how it ended, the best so far, the time left."""

    def __init__(self, listener: TrialListener, trials: int) -> None:
        self._listener = listener
        self._trials = trials
        self._bar = tqdm(total=trials, unit="trial", desc="search", disable=None, leave=False)
        self._ended: list[Trial] = []
        self._start = time.monotonic()

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def on_started(self, candidate: Candidate) -> None:
        """A worker begins."""
        self._listener.on_started(candidate)

    def on_epoch(self, candidate: Candidate, epoch: int, losses: Mapping[str, float]) -> None:
        """An epoch has ended."""
        self._listener.on_epoch(candidate, epoch, losses)
        self._bar.set_postfix_str(f"{candidate.name} epoch {epoch}")

    def on_result(self, trial: Trial, folder: Path | None) -> None:
        """A trial has ended."""
        self._listener.on_result(trial, folder)
        self._ended.append(trial)
        self._bar.write(self._line(trial))
        sys.stdout.flush()  # whoever reads a log wants to see it now
        self._bar.update()

    def skip(self, ended: Sequence[Trial]) -> None:
        """Counts trials that ended before the search was killed."""
        self._ended.extend(ended)
        self._bar.update(len(ended))

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
