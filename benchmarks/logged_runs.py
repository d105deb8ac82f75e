"""Runs of many experiments side by side, each logged once: what the benchmarks have in common."""

import argparse
import multiprocessing
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from tsad.assessment.artifacts import metrics, write_results
from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.data.split import split
from tsad.detector.ensemble import Ensemble
from tsad.experiment import Outcome, conclude, run
from tsad.selection.trial import fingerprint
from tsad.tracking.runs import RunWriter
from tsad.tracking.tags import provenance_tags
from tsad.workflows.context import Context


@dataclass(frozen=True)
class Average:
    """Experiments on the same data as one detector, the mean of their surprisals; split and threshold are those of the first.

    Attributes:
        members: At least two; one that is named twice counts twice.
    """

    members: tuple[ExperimentConfig, ...]

    @property
    def first(self) -> ExperimentConfig:
        return self.members[0]

    def outcome(self, data: DataSet) -> Outcome:
        """Returns what the average comes to."""
        kinds = {_key(each): each for each in self.members}
        found = {key: run(each, data) for key, each in kinds.items()}
        scorers = [found[_key(each)].detector.scorer for each in self.members]
        parts = split(data, self.first.split, max(scorer.lookback for scorer in scorers) + 1)
        seconds = sum(each.seconds for each in found.values())
        return conclude(self.first, parts, Ensemble.fit(scorers, parts.validation), (), seconds)


Wanted = Mapping[tuple[str, str], ExperimentConfig | Average]
"""Experiments, or averages of them, by name and case (a machine, a share)."""


def complete(context: Context, benchmark: str, wanted: Wanted, parallel: int) -> pd.DataFrame:
    """Runs what is not logged yet, one thread each, and returns the metrics of all wanted runs from their MLflow runs.

    A run counts as logged if it finished in the MLflow experiment `benchmark` with the same resolved experiment, so a
    benchmark that was cut off goes on where it was.

    Returns:
        One row per wanted run that finished, with the columns `name`, `case`, and the metrics. A run that failed is
        logged with its reason, printed, and left out.
    """
    found = context.store.client.get_experiment_by_name(benchmark)
    to = found.experiment_id if found else context.store.client.create_experiment(benchmark)
    logged = _logged(context, to)
    missing = {pair: experiment for pair, experiment in wanted.items() if _key(experiment) not in logged.index}
    print(f"{len(wanted)} runs wanted, {len(wanted) - len(missing)} of them logged before", flush=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(parallel, context) as pool, tempfile.TemporaryDirectory() as rest:
        jobs = {}
        for number, (pair, experiment) in enumerate(missing.items()):
            folder = Path(rest, str(number))
            jobs[pool.submit(_work, experiment, context.settings.data_dir, folder, " ".join(pair))] = (pair, folder)
        for count, job in enumerate(as_completed(jobs), start=1):
            pair, folder = jobs[job]
            tags = {"tsad.config_fingerprint": _key(wanted[pair]), **provenance_tags(_first(wanted[pair]).provenance)}
            writer = RunWriter.create(context.store, to, " ".join(pair), tags)
            writer.parameters(_described(wanted[pair]))
            error = job.exception()
            if error is None:
                writer.metrics(job.result())
                writer.files(folder)
                writer.end()
            else:
                writer.tags({"tsad.error": f"{type(error).__name__}: {error}"[:5000]})
                writer.end("FAILED")
            print(f"[{count}/{len(jobs)}] {' on '.join(pair)}{f': {error}' if error else ''}", flush=True)
    logged = _logged(context, to)
    finished = [(*pair, _key(experiment)) for pair, experiment in wanted.items() if _key(experiment) in logged.index]
    return pd.DataFrame([{"name": name, "case": case, **logged.loc[key]} for name, case, key in finished])


def add_options(parser: argparse.ArgumentParser, some: str) -> None:
    """Adds the options of every benchmark of logged runs; `some` are names that its `--only` takes, for its help."""
    parser.add_argument("--only", nargs="*", help=f"names, such as {some}")
    parser.add_argument("--parallel", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--set", nargs="*", default=[], metavar="A.B=VALUE", dest="changes")
    parser.add_argument("--csv", type=Path, help="write every run's metrics to this file")


def fetch(context: Context, benchmark: str, experiment: ExperimentConfig, folder: Path) -> Path:
    """Returns the detector's folder of a logged run, downloaded into `folder`."""
    client = context.store.client
    to = client.get_experiment_by_name(benchmark)
    found = (
        client.search_runs([to.experiment_id], f"tags.`tsad.config_fingerprint` = '{_key(experiment)}'", max_results=1)
        if to
        else []
    )
    if not found:
        raise SystemExit(f"no run of this experiment is logged in {benchmark}")
    return Path(client.download_artifacts(found[0].info.run_id, DETECTOR, str(folder)))


def _work(work: ExperimentConfig | Average, data_dir: Path, folder: Path, title: str) -> dict[str, float]:
    torch.set_num_threads(1)
    data = _first(work).data.load(data_dir)
    alone = isinstance(work, ExperimentConfig)
    outcome = run(work, data, checkpoints=folder / "checkpoints") if alone else work.outcome(data)
    write_results(outcome, _first(work), folder, title)
    return metrics(outcome)


def _first(work: ExperimentConfig | Average) -> ExperimentConfig:
    return work.first if isinstance(work, Average) else work


def _described(work: ExperimentConfig | Average) -> dict[str, Any]:
    if isinstance(work, ExperimentConfig):
        return work.model_dump(mode="json")
    return {f"member_{place}": each.model_dump(mode="json") for place, each in enumerate(work.members)}


def _logged(context: Context, to: str) -> pd.DataFrame:
    """Returns the metrics of finished runs by key, the newest run of each."""
    runs = context.store.client.search_runs([to], "attributes.status = 'FINISHED'", max_results=5000)
    rows = {
        run.data.tags["tsad.config_fingerprint"]: run.data.metrics
        for run in reversed(runs)
        if "tsad.config_fingerprint" in run.data.tags
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _key(work: ExperimentConfig | Average) -> str:
    return fingerprint(_described(work))
