"""Runs of many experiments side by side, each logged once: what the benchmarks have in common."""

import argparse
import multiprocessing
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import pandas as pd
import torch

from tsad.commands.place import Place
from tsad.experiment import Experiment, run
from tsad.results import DETECTOR, metrics, write_results
from tsad.tracking.runs import RunWriter
from tsad.trial import fingerprint

Wanted = Mapping[tuple[str, str], Experiment]
"""Experiments by name and case (a machine, a share)."""


def complete(place: Place, benchmark: str, wanted: Wanted, parallel: int) -> pd.DataFrame:
    """Runs what is not logged yet, one thread each, and returns the metrics of all wanted runs from their MLflow runs.

    A run counts as logged if it finished in the MLflow experiment `benchmark` with the same resolved experiment, so a
    benchmark that was cut off goes on where it was.

    Returns:
        One row per wanted run that finished, with the columns `name`, `case`, and the metrics. A run that failed is
        logged with its reason, printed, and left out.
    """
    found = place.store.client.get_experiment_by_name(benchmark)
    to = found.experiment_id if found else place.store.client.create_experiment(benchmark)
    logged = _logged(place, to)
    missing = {pair: experiment for pair, experiment in wanted.items() if _key(experiment) not in logged.index}
    print(f"{len(wanted)} runs wanted, {len(wanted) - len(missing)} of them logged before", flush=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(parallel, context) as pool, tempfile.TemporaryDirectory() as rest:
        jobs = {}
        for number, (pair, experiment) in enumerate(missing.items()):
            folder = Path(rest, str(number))
            jobs[pool.submit(_work, experiment, place.settings.data_dir, folder, " ".join(pair))] = (pair, folder)
        for count, job in enumerate(as_completed(jobs), start=1):
            pair, folder = jobs[job]
            tags = {"tsad.key": _key(wanted[pair]), **wanted[pair].provenance.tags()}
            writer = RunWriter.create(place.store, to, " ".join(pair), tags)
            writer.parameters(wanted[pair].model_dump(mode="json"))
            error = job.exception()
            if error is None:
                writer.metrics(job.result())
                writer.files(folder)
                writer.end()
            else:
                writer.tags({"tsad.error": f"{type(error).__name__}: {error}"[:5000]})
                writer.end("FAILED")
            print(f"[{count}/{len(jobs)}] {' on '.join(pair)}{f': {error}' if error else ''}", flush=True)
    logged = _logged(place, to)
    finished = [(*pair, _key(experiment)) for pair, experiment in wanted.items() if _key(experiment) in logged.index]
    return pd.DataFrame([{"name": name, "case": case, **logged.loc[key]} for name, case, key in finished])


def add_options(parser: argparse.ArgumentParser, some: str) -> None:
    """Adds the options of every benchmark of logged runs; `some` are names that its `--only` takes, for its help."""
    parser.add_argument("--only", nargs="*", help=f"names, such as {some}")
    parser.add_argument("--parallel", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--set", nargs="*", default=[], metavar="A.B=VALUE", dest="changes")
    parser.add_argument("--csv", type=Path, help="write every run's metrics to this file")


def fetch(place: Place, benchmark: str, experiment: Experiment, folder: Path) -> Path:
    """Returns the detector's folder of a logged run, downloaded into `folder`."""
    client = place.store.client
    to = client.get_experiment_by_name(benchmark)
    found = (
        client.search_runs([to.experiment_id], f"tags.`tsad.key` = '{_key(experiment)}'", max_results=1) if to else []
    )
    if not found:
        raise SystemExit(f"no run of this experiment is logged in {benchmark}")
    return Path(client.download_artifacts(found[0].info.run_id, DETECTOR, str(folder)))


def _work(experiment: Experiment, data_dir: Path, folder: Path, title: str) -> dict[str, float]:
    torch.set_num_threads(1)
    outcome = run(experiment, experiment.data.load(data_dir), checkpoints=folder / "checkpoints")
    write_results(outcome, experiment, folder, title)
    return metrics(outcome)


def _logged(place: Place, to: str) -> pd.DataFrame:
    """Returns the metrics of finished runs by key, the newest run of each."""
    runs = place.store.client.search_runs([to], "attributes.status = 'FINISHED'", max_results=5000)
    rows = {run.data.tags["tsad.key"]: run.data.metrics for run in reversed(runs) if "tsad.key" in run.data.tags}
    return pd.DataFrame.from_dict(rows, orient="index")


def _key(experiment: Experiment) -> str:
    return fingerprint(experiment.model_dump(mode="json"))
