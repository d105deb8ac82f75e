"""Trials on Ray Tune: how it is started, what decides at rungs, and what a worker does.

Workers train and report. The driver alone asks the search session for candidates and records results (`ray_callback`).
"""

import json
import shutil
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.tune import Checkpoint
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, PopulationBasedTraining, TrialScheduler
from ray.tune.search import Searcher

from tsad.assessment.artifacts import metrics, write_results
from tsad.data.dataset import DataSet
from tsad.errors import StoppedError, stop_if_asked, stoppable
from tsad.experiment import Outcome, Progress, run
from tsad.selection.objective import MaximizeSpec, other_values, value_and_components
from tsad.selection.trial import Candidate
from tsad.spec import write_yaml
from tsad.tuning.algorithms.contract import CandidateFactory, SpaceExhaustedError
from tsad.tuning.pbt import ScheduleSegment, explore, extended, read_schedule, write_schedule
from tsad.tuning.ray_callback import RayCallback
from tsad.tuning.ray_start import running_ray, threads
from tsad.tuning.session import SearchSession
from tsad.tuning.spec import AshaSpec, PbtSpec, SearchConfig
from tsad.tuning.trial_report import EPOCH, RUNG_VALUE, Evaluation, TrialReport

_TRIAL = "trial"
"""Key in the configuration of a Ray Tune trial, of the candidate and its name.

The name is next to the candidate because Ray Tune asks for it while a placeholder stands for the candidate.
"""


@dataclass(frozen=True)
class _WorkerSettings:
    """Inputs that all workers of a search share.

    Attributes:
        maximize: Objective that evaluations compute.
        rungs: Spec that says at which epochs trials are evaluated; None evaluates at the end only.
        threads: Number of threads of a trial.
        device: Device that trials train on: `cpu` or `cuda`.
        seconds: Time limit of a trial in seconds, None for none.
    """

    maximize: MaximizeSpec
    rungs: AshaSpec | PbtSpec | None
    threads: int
    device: str
    seconds: float | None


def run_trials(search: SearchConfig, session: SearchSession, data: DataSet, folder: Path) -> None:
    """Runs the candidates that a search session proposes, until its trials or the seconds are used up.

    Args:
        search: Search that says how long, and on how many cores, trials run.
        session: Session that proposes candidates and takes the results.
        data: Rows of all trials; they go to the workers through Ray's object store.
        folder: Ray Tune's storage for this session, absent or empty; on a cluster, a folder that all nodes share.

    Raises:
        KeyboardInterrupt: if the search was interrupted; trials that were running have no result then.
        TsadError: if the machine has fewer GPUs than a trial needs, or the session fails.
    """
    if session.is_complete:
        return  # all had ended before the search was interrupted
    spec, callback = search.spec, RayCallback(session)
    population = [] if spec.pbt is None else callback.propose_all()
    if spec.pbt is not None and not population:
        return
    with running_ray(spec):
        settings = _WorkerSettings(
            spec.maximize,
            spec.asha or spec.pbt,
            threads(spec),
            device="cuda" if spec.gpus else "cpu",
            seconds=spec.trial_seconds,
        )
        trainable = tune.with_parameters(_train, data=data, settings=settings)
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": spec.cpus, "gpu": spec.gpus}),
            param_space={_TRIAL: tune.grid_search([*map(_trial, population)])} if population else None,
            tune_config=_tune_config(search, callback, session.elapsed),
            run_config=tune.RunConfig(
                name=folder.name,
                storage_path=str(folder.parent.resolve()),
                callbacks=[callback],
                # A member of a population may resume from any checkpoint of its donor.
                checkpoint_config=tune.CheckpointConfig(num_to_keep=None if population else 1),
                failure_config=tune.FailureConfig(max_failures=spec.retries),  # errors of a trial itself are reports
                verbose=0,
            ),
        )
        _fit(tuner, callback)
        callback.close(spec.seconds)


def _fit(tuner: tune.Tuner, callback: RayCallback) -> None:
    """Runs the trials; raises the first error of the session, which Ray Tune would wrap in others or forget."""
    try:
        tuner.fit()
    except Exception:
        if callback.error is None:
            raise
    if callback.error is not None:
        raise callback.error


def _tune_config(search: SearchConfig, callback: RayCallback, elapsed: float) -> tune.TuneConfig:
    """Returns how Ray Tune gets, orders and stops trials.

    All members of a population wait in Ray Tune's queue from the start, and the cores alone limit how many run: the limit of
    concurrent trials counts paused ones, and the scheduler of a population accepts no searcher.
    """
    spec = search.spec
    return tune.TuneConfig(
        search_alg=_SessionSearcher(callback) if spec.pbt is None else None,
        scheduler=_scheduler(search),
        num_samples=search.trials if spec.pbt is None else 1,
        max_concurrent_trials=spec.parallel if spec.pbt is None else None,
        time_budget_s=None if spec.seconds is None else max(spec.seconds - elapsed, 0.1),
        reuse_actors=True,
        trial_name_creator=_name,
        trial_dirname_creator=_name,
    )


def _scheduler(search: SearchConfig) -> TrialScheduler:
    """Returns what decides at rungs."""
    spec = search.spec
    if spec.pbt is not None:
        factory = CandidateFactory(search.space, spec.seed)
        return PopulationBasedTraining(
            time_attr=EPOCH,
            metric=RUNG_VALUE,
            mode="max",
            perturbation_interval=spec.pbt.every,
            quantile_fraction=spec.pbt.fraction,
            custom_explore_fn=lambda donor: {_TRIAL: _trial(explore(donor[_TRIAL]["candidate"], factory))},
            log_config=False,
            require_attrs=False,  # between rungs there is no value
        )
    if spec.asha is None:
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    return AsyncHyperBandScheduler(
        time_attr=EPOCH,
        metric=RUNG_VALUE,
        mode="max",
        grace_period=spec.asha.grace,
        reduction_factor=spec.asha.reduction,
        max_t=1_000_000,
    )


def _trial(candidate: Candidate) -> dict[str, Any]:
    return {"name": candidate.name, "candidate": candidate}


def _name(trial: Any) -> str:
    return str(trial.config[_TRIAL]["name"])


def _train(config: Mapping[str, Any], data: DataSet, settings: _WorkerSettings) -> None:
    """Trains one candidate in a worker, from its start or from a checkpoint."""
    torch.set_num_threads(settings.threads)
    with tempfile.TemporaryDirectory() as folder:
        _Worker(config[_TRIAL]["candidate"], data, settings, Path(folder)).run()


class _Worker:
    """Trains one candidate: reports after each epoch, and evaluates at each rung and at the end."""

    def __init__(self, candidate: Candidate, data: DataSet, settings: _WorkerSettings, folder: Path) -> None:
        self._candidate, self._data, self._settings, self._folder = candidate, data, settings, folder
        training = candidate.experiment.training
        self._rungs = () if settings.rungs is None else settings.rungs.rungs(training.epochs)
        self._trial = tune.get_context().get_trial_name()  # a copy's candidate still has the name of its donor
        self._node = ray.get_runtime_context().get_node_id()[:8]
        self._epochs_before, segments = _restored(tune.get_checkpoint(), folder)
        self._reported = self._epochs_before
        self._schedule = extended(segments, self._epochs_before, self._trial, training)

    def run(self) -> None:
        """Trains from the state that the folder holds, and reports, also an error and the end of the time.

        A worker that raised would look to Ray Tune like one that was lost, and the trial would be tried again.
        """
        seconds, begin = self._settings.seconds, time.monotonic()
        try:
            with stoppable(lambda: seconds is not None and time.monotonic() - begin > seconds):
                self._run()
        except StoppedError:
            self._report(
                TrialReport(self._reported, self._node, stopped=f"took longer than search.trial_seconds={seconds:g}")
            )
        except Exception as error:
            lines = traceback.format_exception_only(error)[-1].strip().splitlines()
            reason = lines[-1] if lines else type(error).__name__
            self._report(TrialReport(self._reported, self._node, failure=reason, trace=traceback.format_exc()))

    def _run(self) -> None:
        checkpoints, device = self._folder / "checkpoints", self._settings.device
        experiment = self._candidate.experiment
        outcome = run(experiment, self._data, self._on_epoch, device=device, checkpoints=checkpoints, resume=True)
        evaluation = self._evaluate(outcome, other_values(self._settings.maximize, outcome))
        self._report(TrialReport(len(outcome.history), self._node, evaluation=evaluation, finished=True))

    def _on_epoch(self, progress: Progress) -> None:
        if progress.epoch <= self._epochs_before:
            return  # reported before the checkpoint was written
        evaluation = self._evaluate(progress.outcome(), {}) if progress.epoch in self._rungs else None
        self._report(TrialReport(progress.epoch, self._node, dict(progress.losses), evaluation))
        stop_if_asked()

    def _evaluate(self, outcome: Outcome, more_metrics: Mapping[str, float]) -> Evaluation:
        """Writes the files of a run, and returns its value and metrics."""
        candidate = self._candidate
        write_results(outcome, candidate.experiment, self._folder, f"{self._trial} on {self._data.name}")
        if isinstance(self._settings.rungs, PbtSpec):
            write_schedule(self._schedule, self._folder)
            heading = "How the training ended; schedule.json holds its segments, and both together reproduce it."
            write_yaml(self._folder / "experiment.yaml", candidate.experiment, heading)
        value, components = value_and_components(self._settings.maximize, outcome)
        all_metrics = {**metrics(outcome), **components, **more_metrics}
        return Evaluation(candidate.params, candidate.experiment, value, all_metrics)

    def _report(self, report: TrialReport) -> None:
        self._reported = report.epoch
        checkpoint = None if report.evaluation is None else Checkpoint.from_directory(self._folder)
        tune.report(report.to_result(), checkpoint=checkpoint)


def _restored(checkpoint: Checkpoint | None, folder: Path) -> tuple[int, list[ScheduleSegment]]:
    """Copies the training state of a checkpoint into a folder.

    Returns:
        The number of epochs that were trained and the segments of the schedule; 0 and none without a checkpoint.
    """
    if checkpoint is None:
        return 0, []
    with checkpoint.as_directory() as source:
        saved = Path(source)
        shutil.copytree(saved / "checkpoints", folder / "checkpoints")
        return len(json.loads((saved / "history.json").read_text(encoding="utf-8"))), read_schedule(saved)


class _SessionSearcher(Searcher):
    """A search session as a searcher of Ray Tune."""

    def __init__(self, callback: RayCallback) -> None:
        super().__init__(metric="value", mode="max")
        self._callback = callback

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Returns the configuration of a trial, None to wait, or FINISHED."""
        try:
            candidate = self._callback.propose()
        except SpaceExhaustedError:
            return str(Searcher.FINISHED)
        return None if candidate is None else {_TRIAL: _trial(candidate)}

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """Does nothing, because the callback takes the results of all trials."""

    def save(self, checkpoint_path: str) -> None:
        """Does nothing, because the journal of the session holds its state."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing."""
