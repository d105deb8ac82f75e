"""The events of Ray Tune as events of a search session."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune

from tsad.selection.trial import Candidate, State, Trial
from tsad.tuning.algorithms.contract import SpaceExhaustedError
from tsad.tuning.session import SearchSession
from tsad.tuning.trial_report import Evaluation, TrialReport

_logger = logging.getLogger(__name__)
_PATIENCE = 60.0
"""Seconds without a running trial after which the callback warns."""

BEHIND, OUT_OF_TIME = "behind at a rung", "out of time"
"""Reasons why a trial was stopped."""


class RayCallback(tune.Callback):
    """Ray Tune's callback on the driver: passes on what happens to the candidates of a search session.

    A trial of Ray Tune has the name of its candidate. `propose` and `propose_all` give Ray Tune its trials, so that the
    callback knows the candidate of each.

    Args:
        session: Search session that proposes the candidates and records the results.

    Attributes:
        error: First error of the session, None without one. Ray Tune takes an error of its callback for one of the trial, and
            goes on; here the session learns nothing more, and the search ends at the next step.
    """

    def __init__(self, session: SearchSession) -> None:
        self._session = session
        self._elapsed_before = session.elapsed
        self._clock = time.monotonic()
        self._candidates: dict[str, Candidate] = {}
        self._started: dict[str, float] = {}
        self._reported_epochs: dict[str, int] = {}
        self._reports: dict[str, TrialReport] = {}
        self._evaluations: dict[str, Evaluation] = {}
        self._running: dict[str, Any] = {}
        self._ended: set[str] = set()
        self._waiting_since = self._clock
        self.error: BaseException | None = None

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Makes pickling harmless: Ray Tune pickles its callbacks for a restore of its own, which is not used here."""
        return (object, ())

    def propose(self) -> Candidate | None:
        """Returns the next candidate of the session, None if the session waits for results."""
        with self._first_error():
            candidate = self._session.propose()
        if candidate is not None:
            self._candidates[candidate.name] = candidate
        return candidate

    def propose_all(self) -> list[Candidate]:
        """Returns all candidates that the session proposes before any trial has ended: a population."""
        population = []
        with suppress(SpaceExhaustedError):
            while (candidate := self.propose()) is not None:
                population.append(candidate)
        return population

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Ends the search if the session has failed."""
        if self.error is not None:
            raise self.error

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Passes on that a trial starts; not again when it resumes after a pause, possibly with the weights of another."""
        with self._first_error():
            self._start(str(trial), trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Stores the report, and passes on the losses of an epoch that the trial had not reached before.

        A trial that copies a younger one goes back some epochs; those that it trains twice were passed on already.
        """
        name, report = str(trial), TrialReport.from_result(result)
        self._reports[name] = report
        if report.evaluation is not None:
            self._evaluations[name] = report.evaluation
        if report.losses and report.epoch > self._reported_epochs.get(name, 0):
            self._reported_epochs[name] = report.epoch
            with self._first_error():
                self._session.on_epoch(self._candidates[name], report.epoch, report.losses)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Passes on the result of a trial that trained to its end or was stopped at a rung."""
        self._end(str(trial), evaluated_files(trial))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Logs that a trial whose worker was lost is tried again."""
        count, limit = trial.run_metadata.num_failures, trial.max_failures
        self._waiting_since = time.monotonic()
        _logger.warning("trial %s is tried again (%d of %d times): %s", trial, count, limit, _reason(trial))

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Warns once a minute while trials wait and none runs, because Ray has no room for one."""
        now = time.monotonic()
        if any(str(trial.status) == "RUNNING" for trial in trials) or all(trial.is_finished() for trial in trials):
            self._waiting_since = now
        elif now - self._waiting_since > _PATIENCE:
            self._waiting_since = now
            _logger.warning(
                "no trial could be placed for %g s: Ray has no node with free cores and GPUs for one; see `ray status`, end what "
                "takes them, or lower search.cpus and search.gpus",
                _PATIENCE,
            )

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Passes on the result of a trial that raised an error or whose worker died."""
        self._end(str(trial), evaluated_files(trial), error=_lost(trial))

    def close(self, seconds: float | None) -> None:
        """Ends the trials that Ray Tune cut off because the seconds were used up, of which it tells no callback.

        Raises:
            KeyboardInterrupt: if trials are running although there is time left, which an interrupt alone explains.
        """
        if self._running and (seconds is None or self._elapsed() < seconds):
            raise KeyboardInterrupt
        for name, trial in list(self._running.items()):
            self._end(name, evaluated_files(trial), stopped=OUT_OF_TIME)

    def _start(self, name: str, trial: Any) -> None:
        self._running[name] = trial
        if name not in self._started:
            self._started[name] = time.monotonic()
            self._session.on_started(self._candidates[name])

    def _end(self, name: str, folder: Path | None, *, error: str | None = None, stopped: str = BEHIND) -> None:
        """Makes the trial of the last reports and passes it on; `stopped` is the reason if it neither finished nor failed."""
        if self.error is not None or name in self._ended:
            return
        with self._first_error():
            self._pass_on(name, folder, error, stopped)
        self._ended.add(name)

    def _pass_on(self, name: str, folder: Path | None, error: str | None, stopped: str) -> None:
        if name not in self._started:  # its worker died before it began
            self._start(name, None)
        self._running.pop(name)
        candidate, report, evaluation = self._candidates[name], self._reports.get(name), self._evaluations.get(name)
        finished = report is not None and report.finished
        if report is not None and report.failure:
            error = report.failure
            _logger.debug("trial %s failed:\n%s", name, report.trace)
        elif report is not None and report.stopped:
            stopped = report.stopped
        state: State = "failed" if error is not None else "finished" if finished else "stopped"
        if evaluation is not None:  # a member of a population ends with other hyperparameters than the proposed ones
            candidate = replace(candidate, params=evaluation.params, experiment=evaluation.experiment)
        trial = Trial(
            candidate=candidate,
            state=state,
            value=None if evaluation is None else evaluation.value,
            seconds=time.monotonic() - self._started[name],
            epochs=0 if report is None else report.epoch,
            metrics={} if evaluation is None else evaluation.metrics,
            reason=error or ("" if state == "finished" else stopped),
            elapsed=self._elapsed(),
            node="" if report is None else report.node,
        )
        self._session.on_result(trial, folder)

    @contextmanager
    def _first_error(self) -> Iterator[None]:
        if self.error is not None:
            raise self.error
        try:
            yield
        except SpaceExhaustedError:
            raise
        except BaseException as error:
            self.error = error
            raise

    def _elapsed(self) -> float:
        return self._elapsed_before + time.monotonic() - self._clock


def evaluated_files(trial: Any) -> Path | None:
    """Returns the folder of the last evaluation of a Ray Tune trial.

    None if it was never evaluated, or if it was about to resume from the checkpoint of another trial.
    """
    if trial.checkpoint is None:
        return None
    folder = Path(trial.checkpoint.path)
    return folder if folder.is_relative_to(trial.path) else None


def _lost(trial: Any) -> str:
    """Returns why a trial failed that was tried again as often as `search.retries` allows."""
    limit = getattr(trial, "max_failures", 0)
    return f"lost its worker more than search.retries={limit} times: {_reason(trial)}" if limit else _reason(trial)


def _reason(trial: Any) -> str:
    """Returns the last line of the trial's error file; the trial object's own error may be empty."""
    if trial.error_file is None or not Path(trial.error_file).is_file():
        return "ended without a word; its worker was probably killed"
    lines = [line.strip() for line in Path(trial.error_file).read_text(encoding="utf-8").splitlines() if line.strip()]
    return lines[-1] if lines else "its error file is empty"
