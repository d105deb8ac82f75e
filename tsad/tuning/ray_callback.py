"""From the trials of Ray Tune to ours: which are running, what was last heard of each, how it ended."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tsad.selection.trial import Candidate, State, Trial
from tsad.tuning.algorithms.contract import SpaceExhaustedError
from tsad.tuning.session import SearchSession

_HEARD = ("epoch", "value", "metrics", "finished", "node", "params", "experiment")
BEHIND, LATE = "behind at a rung", "out of time"
"""Why a trial was stopped."""


class Bridge:
    """Tells the session of a search what becomes of its candidates; a trial is known by the name of its candidate."""

    def __init__(self, session: SearchSession) -> None:
        self._session = session
        self._before = session.elapsed
        self._clock = time.monotonic()
        self._candidates: dict[str, Candidate] = {}
        self._started: dict[str, float] = {}
        self._told: dict[str, int] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self._running: dict[str, Any] = {}

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Tune pickles its callbacks for a restore that we do not use; what is alive here stays here."""
        return (object, ())

    def propose(self) -> Candidate | None:
        """Asks for a candidate; None means to wait."""
        candidate = self._session.propose()
        if candidate is not None:
            self._candidates[candidate.name] = candidate
        return candidate

    def population(self) -> list[Candidate]:
        """Asks for all candidates at once."""
        found = []
        with suppress(SpaceExhaustedError):
            while (candidate := self.propose()) is not None:
                found.append(candidate)
        return found

    def start(self, name: str, trial: Any) -> None:
        """Passes on that a worker begins; not again when a trial goes on after a pause, be it with another's weights."""
        self._running[name] = trial
        if name not in self._started:
            self._started[name] = time.monotonic()
            self._session.on_started(self._candidates[name])

    def hear(self, name: str, result: Mapping[str, Any]) -> None:
        """Keeps the last evaluation, and passes on the losses of epochs that this trial had not reached before.

        A trial that copies a younger one goes back; the epochs that it does twice have been told.
        """
        last = self._last.setdefault(name, {})
        last |= {key: result[key] for key in _HEARD if key in result}
        if result["losses"] and result["epoch"] > self._told.get(name, 0):
            self._told[name] = result["epoch"]
            self._session.on_epoch(self._candidates[name], result["epoch"], result["losses"])

    def end(self, name: str, folder: Path | None, *, error: str | None = None, stopped: str = BEHIND) -> None:
        """Makes the trial of what was heard, and passes it on; `stopped` is why, if it neither finished nor failed."""
        if name not in self._started:  # its worker died before it began
            self.start(name, None)
        self._running.pop(name)
        last, candidate = self._last.get(name, {}), self._candidates[name]
        state: State = "failed" if error is not None else "finished" if last.get("finished") else "stopped"
        evaluated = {key: last[key] for key in ("params", "experiment") if key in last}  # a copy's are not the proposed
        trial = Trial(
            candidate=replace(candidate, **evaluated),
            state=state,
            value=last.get("value"),
            seconds=time.monotonic() - self._started[name],
            epochs=last.get("epoch", 0),
            metrics=last.get("metrics", {}),
            reason=error or ("" if state == "finished" else stopped),
            elapsed=self._elapsed(),
            node=last.get("node", ""),
        )
        self._session.on_result(trial, folder)

    def close(self, seconds: float | None) -> None:
        """Ends the trials that Tune cut off because the seconds were up, or raises `KeyboardInterrupt`; Tune tells nobody."""
        if self._running and (seconds is None or self._elapsed() < seconds):
            raise KeyboardInterrupt
        for name, trial in list(self._running.items()):
            self.end(name, files(trial), stopped=LATE)

    def _elapsed(self) -> float:
        return self._before + time.monotonic() - self._clock


def files(trial: Any) -> Path | None:
    """Returns the folder of a Tune trial's last evaluation, None if it had none or is about to go on with another's."""
    if trial.checkpoint is None:
        return None
    folder = Path(trial.checkpoint.path)
    return folder if folder.is_relative_to(trial.path) else None
