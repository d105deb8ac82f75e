"""What a search costs beside the trainings alone: the same trials in a search and in a bare loop, on two workers each.

    OMP_NUM_THREADS=1 python benchmarks/search_cost.py [--trials 40] [--epochs 12]

The bare loop trains, scores and values each candidate in a pool of two processes and writes nothing. The search does the
same under Ray Tune with its journal, an MLflow run with files and plots for each trial, report and champion. Both run in one
go, on equal candidates, with one thread each; `--epochs` sets how long a trial takes. The fixed cost of a trial is what its
worker is busy beyond the bare trial, and what is left of the wall time is start, report and champion.
"""

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from logged_searches import SPACES, searched, trials

from tsad.config import ExperimentConfig
from tsad.experiment import run
from tsad.selection.objective import MaximizeSpec
from tsad.tuning.algorithms.contract import SpaceExhaustedError
from tsad.tuning.spec import read_search
from tsad.workflows.context import open_context

WORKERS = 2


def main() -> None:
    arguments = read_arguments()
    changes: dict[str, Any] = {
        "data.every": 1,
        "data.machine": "2-1",
        "model.hidden": 64,
        "training.epochs": arguments.epochs,
        "training.patience": arguments.epochs,
        "search.algorithm.kind": "random",
        "search.asha": None,
        "search.ensemble": None,
        "search.reuse": False,
        "search.trials": arguments.trials,
        "search.parallel": WORKERS,
        "search.seed": int(time.time()),  # never the one of an earlier measurement
    }
    bare, each = bare_loop(changes)
    context = open_context()
    start = time.perf_counter()
    found = trials(context, searched(context, "recurrent_288", changes))
    wall = time.perf_counter() - start
    print(
        f"bare loop: {bare:.1f} s for {arguments.trials} trials of {sum(each) / len(each):.1f} s on {WORKERS} workers"
    )
    print(f"search:    {wall:.1f} s for {len(found)} trials, everything from the start of the command to its end")
    print(f"ratio:     {wall / bare:.3f}")
    print(f"each:      {(wall - bare) * WORKERS / len(found):.2f} s of a worker's time for each trial")


def bare_loop(changes: dict[str, Any]) -> tuple[float, list[float]]:
    """Returns the wall time of all trainings, and the seconds of each."""
    wanted = read_search(SPACES / "recurrent_288.yaml", changes)
    algorithm = wanted.spec.algorithm.build(wanted.space, wanted.spec.seed)
    experiments = []
    while len(experiments) < wanted.trials:
        try:
            candidate = algorithm.suggest()
        except SpaceExhaustedError:
            break
        if candidate is not None:
            experiments.append(candidate.experiment)
    folder = open_context().settings.data_dir
    start = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, context, _load, (wanted.data, folder)) as pool:
        seconds = list(pool.map(_train, experiments, [wanted.spec.maximize] * len(experiments)))
    return time.perf_counter() - start, seconds


_DATA: list[Any] = []


def _load(data: Any, folder: Any) -> None:
    torch.set_num_threads(1)
    _DATA.append(data.load(folder))


def _train(experiment: ExperimentConfig, maximize: MaximizeSpec) -> float:
    start = time.perf_counter()
    maximize.value(run(experiment, _DATA[0]))
    return time.perf_counter() - start


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=12)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
