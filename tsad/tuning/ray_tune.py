"""Trials on Ray Tune. Beside Optuna's search algorithm, the only module that knows of Ray.

Workers train and report; the driver alone talks to the search algorithm and, through a listener, to whoever records the trials.
"""

import json
import logging
import math
import os
import shutil
import tempfile
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
from tsad.errors import TsadError
from tsad.experiment import ExperimentConfig, Outcome, Progress, run
from tsad.selection.objective import MaximizeSpec, other_values
from tsad.selection.trial import Candidate
from tsad.spec import parse, write_yaml
from tsad.tuning.algorithms.contract import CandidateFactory, SpaceExhaustedError
from tsad.tuning.pbt import Explorer, Leg, extended, read_schedule, write_schedule
from tsad.tuning.ray_callback import Bridge, files
from tsad.tuning.session import SearchSession
from tsad.tuning.spec import AshaSpec, PbtSpec, Search, SearchSpec


@dataclass(frozen=True)
class _Job:
    """What a worker needs beside the candidate."""

    maximize: MaximizeSpec
    rungs: AshaSpec | PbtSpec | None
    threads: int
    device: str


def run_trials(wanted: Search, session: SearchSession, data: DataSet, folder: Path) -> None:
    """Runs what the session of a search proposes until its trials or the seconds are used up.

    Args:
        wanted: How long, and on how many cores.
        session: Proposes candidates and hears of every trial.
        data: Rows for all of them; goes to the workers through Ray's object store.
        folder: Ray Tune's storage for this search, absent or empty; on a cluster, a folder that all nodes share.

    Raises:
        KeyboardInterrupt: if somebody interrupted it; trials that were running have not ended then.
    """
    spec, bridge = wanted.spec, Bridge(session)
    members = [] if spec.pbt is None else [_member(candidate) for candidate in bridge.population()]
    if spec.pbt is not None and not members:
        return  # all had ended before the search was killed
    _start_ray(spec)
    job = _Job(spec.maximize, spec.asha or spec.pbt, _threads(spec), device="cuda" if spec.gpus else "cpu")
    trainable = tune.with_parameters(_train, data=data, job=job)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": spec.cpus, "gpu": spec.gpus}),
        param_space={"member": tune.grid_search(members)} if members else None,
        tune_config=_tune_config(wanted, bridge, session.elapsed),
        run_config=tune.RunConfig(
            name=folder.name,
            storage_path=str(folder.parent.resolve()),
            callbacks=[_TrialCallback(bridge)],
            # A member of a population may go on with what its donor has left behind.
            checkpoint_config=tune.CheckpointConfig(num_to_keep=None if members else 1),
            failure_config=tune.FailureConfig(max_failures=0),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
        bridge.close(spec.seconds)
    finally:
        ray.shutdown()


def _tune_config(wanted: Search, bridge: Bridge, elapsed: float) -> tune.TuneConfig:
    """Returns how Tune gets, orders and stops trials.

    Of a population all members wait in Tune's queue from the start, and the cores alone limit how many run: Tune's limit of
    trials side by side counts those that pause, and its population takes no searcher beside it.
    """
    spec = wanted.spec
    return tune.TuneConfig(
        search_alg=_SessionSearcher(bridge) if spec.pbt is None else None,
        scheduler=_scheduler(wanted),
        num_samples=wanted.trials if spec.pbt is None else 1,
        max_concurrent_trials=spec.parallel if spec.pbt is None else None,
        time_budget_s=None if spec.seconds is None else max(spec.seconds - elapsed, 0.1),
        reuse_actors=True,
        trial_name_creator=_name,
        trial_dirname_creator=_name,
    )


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
    gpus = torch.cuda.device_count() if spec.gpus else 0
    if os.environ.get("RAY_ADDRESS"):
        ray.init(runtime_env=environment, log_to_driver=False)
    elif spec.gpus > gpus:
        raise TsadError(
            f"search.gpus must be at most the GPUs of this machine, but got {spec.gpus:g} and there are {gpus}; set "
            f"search.gpus=0, or RAY_ADDRESS to a cluster that has them"
        )
    else:
        ray.init(
            address="local",  # never another that runs here, or that left its address behind when it was killed
            num_cpus=math.ceil(spec.parallel * spec.cpus),
            num_gpus=gpus,
            include_dashboard=False,
            runtime_env=environment,
            log_to_driver=False,
            logging_threshold=logging.ERROR,
        )


def _threads(spec: SearchSpec) -> int:
    """Returns the threads of a trial: its cores, since trials with more threads than cores starve each other."""
    return max(1, int(spec.cpus))


def _scheduler(wanted: Search) -> TrialScheduler:
    """Returns what decides at rungs; the value at the end has another name, so that it is never compared with theirs."""
    spec = wanted.spec
    if spec.pbt is not None:
        explore = Explorer(CandidateFactory(wanted.space, spec.seed))
        return PopulationBasedTraining(
            time_attr="epoch",
            metric="rung_value",
            mode="max",
            perturbation_interval=spec.pbt.every,
            quantile_fraction=spec.pbt.share,
            custom_explore_fn=lambda donor: {"member": explore(donor["member"]["params"])},
            log_config=False,
            require_attrs=False,  # between rungs there is no value
        )
    if spec.asha is None:
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    return AsyncHyperBandScheduler(
        time_attr="epoch",
        metric="rung_value",
        mode="max",
        grace_period=spec.asha.grace,
        reduction_factor=spec.asha.reduction,
        max_t=1_000_000,
    )


def _member(candidate: Candidate) -> dict[str, Any]:
    """Returns a candidate as Tune passes it on to a worker; Tune reads the name once, and a copy has none."""
    return {"name": candidate.name, "params": dict(candidate.params), "experiment": dict(candidate.experiment)}


def _name(trial: Any) -> str:
    return str(trial.config["member"]["name"])


def _train(config: Mapping[str, Any], data: DataSet, job: _Job) -> None:
    """Runs in a worker: one candidate, from its start or from a checkpoint."""
    torch.set_num_threads(job.threads)
    with tempfile.TemporaryDirectory() as place:
        _Work(config["member"], data, job, Path(place)).run()


class _Work:
    """One candidate in a worker: reported after each epoch, evaluated at each rung and at the end."""

    def __init__(self, member: Mapping[str, Any], data: DataSet, job: _Job, folder: Path) -> None:
        self._member, self._data, self._job, self._folder = member, data, job, folder
        self._experiment = parse(ExperimentConfig, member["experiment"], "candidate")
        training = self._experiment.training
        self._rungs = () if job.rungs is None else job.rungs.rungs(training.epochs)
        self._name = tune.get_context().get_trial_name()
        self._node = ray.get_runtime_context().get_node_id()[:8]
        self._done, legs = _take_over(tune.get_checkpoint(), folder)
        self._legs = extended(legs, self._done, self._name, training)

    def run(self) -> None:
        """Trains from where the folder stands, and reports."""
        checkpoints = self._folder / "checkpoints"
        device = self._job.device
        outcome = run(self._experiment, self._data, self._on_epoch, device=device, checkpoints=checkpoints, resume=True)
        found = self._evaluated(outcome)
        found["metrics"] |= other_values(self._job.maximize, outcome)
        # No "rung_value" here: a value at the end must not be compared with those of early epochs.
        self._report({"epoch": len(outcome.history), "losses": {}, "finished": True} | found, evaluated=True)

    def _on_epoch(self, progress: Progress) -> None:
        if progress.epoch <= self._done:
            return  # told before the checkpoint was made
        result = {"epoch": progress.epoch, "losses": dict(progress.losses), "finished": False}
        at_rung = progress.epoch in self._rungs
        if at_rung:
            found = self._evaluated(progress.outcome())
            result |= found | {"rung_value": found["value"]}
        self._report(result, evaluated=at_rung)

    def _evaluated(self, outcome: Outcome) -> dict[str, Any]:
        """Writes the files of a run, and returns what is to be told of it."""
        write_results(outcome, self._experiment, self._folder, f"{self._name} on {self._data.name}")
        if isinstance(self._job.rungs, PbtSpec):
            write_schedule(self._legs, self._folder)
            heading = "How the training ended; schedule.json tells how it went, and both make it again."
            write_yaml(self._folder / "experiment.yaml", self._experiment, heading)
        described = {name: self._member[name] for name in ("params", "experiment")}
        return described | {"value": self._job.maximize.value(outcome), "metrics": metrics(outcome)}

    def _report(self, result: dict[str, Any], *, evaluated: bool) -> None:
        checkpoint = Checkpoint.from_directory(self._folder) if evaluated else None
        tune.report(result | {"node": self._node}, checkpoint=checkpoint)


def _take_over(checkpoint: Checkpoint | None, folder: Path) -> tuple[int, list[Leg]]:
    """Copies the state of a training into a folder; returns its epochs and its legs, none if there is none."""
    if checkpoint is None:
        return 0, []
    with checkpoint.as_directory() as source:
        left = Path(source)
        shutil.copytree(left / "checkpoints", folder / "checkpoints")
        return len(json.loads((left / "history.json").read_text(encoding="utf-8"))), read_schedule(left)


class _SessionSearcher(Searcher):
    """The session of a search as Tune wants it."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__(metric="value", mode="max")
        self._bridge = bridge

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Returns the configuration of a trial, None to wait, or FINISHED."""
        try:
            candidate = self._bridge.propose()
        except SpaceExhaustedError:
            return str(Searcher.FINISHED)
        return None if candidate is None else {"member": _member(candidate)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:  # noqa: FBT001, FBT002
        """Does nothing: the callback hears of the end with all that is to be said about it."""

    def save(self, checkpoint_path: str) -> None:
        """Does nothing; see `Bridge.__reduce__`."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing."""


class _TrialCallback(tune.Callback):
    """Tune's events, passed to the bridge."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker begins."""
        self._bridge.start(str(trial), trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A report has come."""
        self._bridge.hear(str(trial), result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ran to its end or was stopped."""
        self._bridge.end(str(trial), files(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial raised, or its worker died."""
        self._bridge.end(str(trial), files(trial), error=_reason(trial))


def _reason(trial: Any) -> str:
    """Returns the last line of the trial's error file; the trial object's own error may be empty."""
    if trial.error_file is None or not Path(trial.error_file).is_file():
        return "ended without a word; its worker was probably killed"
    lines = [line.strip() for line in Path(trial.error_file).read_text(encoding="utf-8").splitlines() if line.strip()]
    return lines[-1] if lines else "its error file is empty"
