"""The whole of search_spaces/recurrent_288.yaml, trained once on several data sets, as one table.

    OMP_NUM_THREADS=1 python benchmarks/nas_table.py [--parallel 2] [--output benchmarks/nas_288.parquet]

Every configuration is trained as a search would train it, to its end, and valued by both objectives that read no label and
by the test metrics. Dropout has no effect on one layer, so those rows are copies of the one that was trained: 216 trainings
a data set. `benchmarks/nas_replay.py` replays searches on the table. Each result is written at once to OUTPUT.jsonl; started
again, the benchmark goes on from there.
"""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from tsad.assessment.artifacts import metrics
from tsad.config import ExperimentConfig
from tsad.evaluation.registry import HEADLINES
from tsad.experiment import run
from tsad.selection.objective import LabelFreeSpec, ValidationErrorSpec
from tsad.spec import flatten, parse
from tsad.tuning.algorithms.grid import combinations
from tsad.tuning.spec import read_search
from tsad.workflows.context import read_settings

SPACE = Path(__file__).resolve().parents[1] / "search_spaces" / "recurrent_288.yaml"
DATA: Mapping[str, Mapping[str, Any]] = {
    "smd-2-1": {"data.machine": "2-1"},
    "smd-1-7": {"data.machine": "1-7"},
    "synthetic": {"data": {"kind": "synthetic"}},
}
KEPT = (*HEADLINES, "cost/seconds", "cost/parameters")
Params = Mapping[str, Any]


def main() -> None:
    arguments = read_arguments()
    journal = arguments.output.with_suffix(".jsonl")
    wanted = configurations()
    done = _read(journal)
    missing = {key: each for key, each in wanted.items() if key not in done}
    print(f"{len(wanted)} trainings wanted, {len(wanted) - len(missing)} done before", flush=True)
    folder = read_settings().data_dir
    with (
        ProcessPoolExecutor(arguments.parallel, multiprocessing.get_context("spawn")) as pool,
        journal.open("a") as file,
    ):
        jobs = {pool.submit(_train, experiment, folder): key for key, (_, experiment) in missing.items()}
        for count, job in enumerate(as_completed(jobs), start=1):
            done[jobs[job]] = job.result()
            file.write("\n" + json.dumps({"key": jobs[job], **job.result()}))  # which ends what a killed run left
            file.flush()
            print(f"[{count}/{len(jobs)}] {jobs[job]}: {job.result()['value']:.3f}", flush=True)
    rows = [
        {"data": key.split()[0], **params, **done[key]} for key, (each, _) in wanted.items() for params in _copies(each)
    ]
    table = pd.DataFrame(rows)
    table.to_parquet(arguments.output, index=False)
    print(
        table.groupby("data")[["value", "validation_error", "ranking/vus_pr", "cost/seconds"]].describe().T.to_string()
    )


def configurations() -> dict[str, tuple[Params, ExperimentConfig]]:
    """Returns hyperparameters and experiment of what differs, by data set and hyperparameters, the data sets in turn."""
    wanted: dict[str, tuple[Params, ExperimentConfig]] = {}
    for name, changes in DATA.items():
        search = read_search(SPACE, changes)
        for active in combinations(search.space, {}):
            values, _ = search.space.resolve(active)
            leaves = flatten(values)
            params = {address.split(".")[-1]: leaves[address] for address in search.space.params}
            if params["layers"] > 1 or params["dropout"] == 0:
                key = " ".join([name, *map(str, params.values())])
                wanted[key] = (params, parse(ExperimentConfig, values, key))
    return dict(sorted(wanted.items(), key=lambda pair: list(DATA).index(pair[0].split()[0])))


def _copies(params: Params) -> list[Params]:
    """Returns the configurations that a training stands for."""
    if params["layers"] > 1:
        return [params]
    return [{**params, "dropout": dropout} for dropout in (0.0, 0.1, 0.2, 0.3)]


def _train(experiment: ExperimentConfig, folder: Path) -> dict[str, float]:
    torch.set_num_threads(1)
    outcome = run(experiment, experiment.data.load(folder))
    found = metrics(outcome)
    return {
        "value": LabelFreeSpec(kind="label_free").value(outcome),
        "validation_error": ValidationErrorSpec(kind="validation_error").value(outcome),
        **{name: found[name] for name in KEPT},
    }


def _read(journal: Path) -> dict[str, dict[str, float]]:
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.is_file() else []
    rows = [json.loads(line) for line in lines if line.endswith("}")]  # a killed run may leave half a line
    return {row.pop("key"): row for row in rows}


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parallel", type=int, default=2, help="trainings side by side, one thread each")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "nas_288.parquet")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
