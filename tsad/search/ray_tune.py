"""Trials on Ray Tune. The only module that knows of Ray.

Workers train and report; the driver alone talks to the designer and, through a listener, to whoever records the trials.
"""

import logging
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.tune import Checkpoint
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tsad.data.dataset import DataSet
from tsad.experiment import Experiment, Outcome, Progress, run
from tsad.results import metrics, write_results
from tsad.search.course import Course
from tsad.search.designers.contract import SpaceExhaustedError
from tsad.search.objective import MaximiseSpec, other_values
from tsad.search.search import AshaSpec, Search, SearchSpec
from tsad.spec import parse
from tsad.trial import Candidate, State, Trial


@dataclass(frozen=True)
class _Job:
    """What a worker needs beside the candidate."""

    maximise: MaximiseSpec
    asha: AshaSpec | None
    threads: int
    device: str


def run_trials(wanted: Search, course: Course, data: DataSet, folder: Path) -> None:
    """Runs what the course of a search proposes until its trials or the seconds are used up.

    Args:
        wanted: How long, and on how many cores.
        course: Proposes candidates and hears of every trial.
        data: Rows for all of them; goes to the workers through Ray's object store.
        folder: Ray Tune's storage for this search, absent or empty; on a cluster, a folder that all nodes share.

    Raises:
        KeyboardInterrupt: if somebody interrupted it; trials that were running have not ended then.
    """
    spec = wanted.spec
    _start_ray(spec)
    bridge = _Bridge(course)
    job = _Job(spec.maximise, spec.asha, threads=_threads(spec), device="cuda" if spec.gpus else "cpu")
    trainable = tune.with_parameters(_train, data=data, job=job)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": spec.cpus, "gpu": spec.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=_CourseSearcher(bridge),
            scheduler=_scheduler(spec.asha),
            num_samples=wanted.trials,
            max_concurrent_trials=spec.parallel,
            time_budget_s=None if spec.seconds is None else max(spec.seconds - course.elapsed, 0.1),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=folder.name,
            storage_path=str(folder.parent.resolve()),
            callbacks=[_TrialCallback(bridge)],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            failure_config=tune.FailureConfig(max_failures=0),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
        bridge.close(spec.seconds)
    finally:
        ray.shutdown()


def _start_ray(spec: SearchSpec) -> None:
    """Starts a Ray of this machine with the cores that the trials need, or joins the cluster of `RAY_ADDRESS`."""
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"  # between rungs there is no value to report
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = (
        "1"  # the listener records; no CSV, JSON and TensorBoard beside it
    )
    logging.getLogger("ray.tune").setLevel(
        logging.CRITICAL
    )  # a failed trial is told in one line, its trace in its folder
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # its box and tables are not ours
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    environment = {"env_vars": {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(_threads(spec))}}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(runtime_env=environment, log_to_driver=False)
    else:
        ray.init(
            num_cpus=max(1, round(spec.parallel * spec.cpus)),
            num_gpus=torch.cuda.device_count() if spec.gpus else 0,
            include_dashboard=False,
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )


def _threads(spec: SearchSpec) -> int:
    """Returns the threads of a trial: its cores, since trials with more threads than cores starve each other."""
    return max(1, int(spec.cpus))


def _scheduler(asha: AshaSpec | None) -> TrialScheduler:
    """Returns ASHA on the value at rungs; the value at the end has another name, so that ASHA never compares with it."""
    if asha is None:
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    return AsyncHyperBandScheduler(
        time_attr="epoch",
        metric="rung_value",
        mode="max",
        grace_period=asha.grace,
        reduction_factor=asha.reduction,
        max_t=1_000_000,
    )


def _train(config: Mapping[str, Any], data: DataSet, job: _Job) -> None:
    """Runs in a worker: one candidate, reported after each epoch, evaluated at each rung and at the end."""
    torch.set_num_threads(job.threads)
    experiment = parse(Experiment, config["experiment"], "candidate")
    rungs = job.asha.rungs(experiment.training.epochs) if job.asha is not None else ()
    node = ray.get_runtime_context().get_node_id()[:8]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)

        def evaluated(outcome: Outcome) -> tuple[dict[str, Any], Any]:
            write_results(outcome, experiment, folder, f"{config['name']} on {data.name}")
            found = {"value": job.maximise.value(outcome), "metrics": metrics(outcome)}
            return found, Checkpoint.from_directory(place)

        def on_epoch(progress: Progress) -> None:
            result = {"epoch": progress.epoch, "losses": dict(progress.losses), "finished": False, "node": node}
            if progress.epoch in rungs:
                found, checkpoint = evaluated(progress.outcome())
                tune.report(result | found | {"rung_value": found["value"]}, checkpoint=checkpoint)
            else:
                tune.report(result)

        outcome = run(experiment, data, on_epoch, device=job.device, checkpoints=folder / "checkpoints")
        found, checkpoint = evaluated(outcome)
        found["metrics"] |= other_values(job.maximise, outcome)
        # No "rung_value" here: a value at the end must not be compared with those of early epochs.
        result = {"epoch": len(outcome.history), "losses": {}, "finished": True, "node": node}
        tune.report(result | found, checkpoint=checkpoint)


_HEARD = ("epoch", "value", "metrics", "finished", "node")


class _Bridge:
    """From Tune's trials to ours: who is running, what was last heard, how each ended."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._before = course.elapsed
        self._clock = time.monotonic()
        self._candidates: dict[str, Candidate] = {}
        self._started: dict[str, float] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self._running: dict[str, Any] = {}

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Tune pickles its callbacks for a restore that we do not use; what is alive here stays here."""
        return (object, ())

    def propose(self, trial_id: str) -> Candidate | None:
        """Asks for a candidate; None means to wait."""
        candidate = self._course.propose()
        if candidate is not None:
            self._candidates[trial_id] = candidate
        return candidate

    def start(self, trial_id: str, trial: Any) -> None:
        """Passes on that a worker begins."""
        self._started[trial_id] = time.monotonic()
        self._running[trial_id] = trial
        self._course.start(self._candidates[trial_id])

    def hear(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Keeps the last evaluation, and passes on the losses."""
        last = self._last.setdefault(trial_id, {})
        last |= {name: result[name] for name in _HEARD if name in result}
        if result["losses"]:
            self._course.advance(self._candidates[trial_id], result["epoch"], result["losses"])

    def end(self, trial_id: str, error: str | None, folder: Path | None) -> None:
        """Makes the trial of what was heard, and passes it on."""
        if trial_id not in self._started:  # its worker died before it began
            self.start(trial_id, None)
        self._running.pop(trial_id)
        last = self._last.get(trial_id, {})
        state: State = "failed" if error is not None else "finished" if last.get("finished") else "stopped"
        trial = Trial(
            candidate=self._candidates[trial_id],
            state=state,
            value=last.get("value"),
            seconds=time.monotonic() - self._started[trial_id],
            epochs=last.get("epoch", 0),
            metrics=last.get("metrics", {}),
            reason=error or ("" if state == "finished" else "behind at a rung, or out of time"),
            elapsed=self._elapsed(),
            node=last.get("node", ""),
        )
        self._course.end(trial, folder)

    def close(self, seconds: float | None) -> None:
        """Ends the trials that Tune cut off because the seconds were up, or raises `KeyboardInterrupt`; Tune tells nobody."""
        if self._running and (seconds is None or self._elapsed() < seconds):
            raise KeyboardInterrupt
        for trial_id, trial in list(self._running.items()):
            self.end(trial_id, None, _folder(trial))

    def _elapsed(self) -> float:
        return self._before + time.monotonic() - self._clock


class _CourseSearcher(Searcher):
    """The course of a search as Tune wants it."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__(metric="value", mode="max")
        self._bridge = bridge

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Returns the configuration of a trial, None to wait, or FINISHED."""
        try:
            candidate = self._bridge.propose(trial_id)
        except SpaceExhaustedError:
            return str(Searcher.FINISHED)
        return None if candidate is None else {"name": candidate.name, "experiment": dict(candidate.experiment)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:  # noqa: FBT001, FBT002
        """Does nothing: the callback hears of the end with all that is to be said about it."""

    def save(self, checkpoint_path: str) -> None:
        """Does nothing; see `_Bridge.__reduce__`."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing."""


class _TrialCallback(tune.Callback):
    """Tune's events, passed to the bridge."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker begins."""
        self._bridge.start(trial.trial_id, trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A report has come."""
        self._bridge.hear(trial.trial_id, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ran to its end or was stopped."""
        self._bridge.end(trial.trial_id, None, _folder(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial raised, or its worker died."""
        self._bridge.end(trial.trial_id, _reason(trial), _folder(trial))


def _folder(trial: Any) -> Path | None:
    return Path(trial.checkpoint.path) if trial.checkpoint is not None else None


def _reason(trial: Any) -> str:
    """Returns the last line of the trial's error file; the trial object's own error may be empty."""
    if trial.error_file is None or not Path(trial.error_file).is_file():
        return "ended without a word; its worker was probably killed"
    lines = [line.strip() for line in Path(trial.error_file).read_text(encoding="utf-8").splitlines() if line.strip()]
    return lines[-1] if lines else "its error file is empty"
