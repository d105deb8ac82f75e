"""Evolution with niches against random search over closed forms, by test metrics at equal trials, on series of the suite.

    OMP_NUM_THREADS=1 python benchmarks/niches.py [--trials 24] [--seeds 3] [--series asd/omi-1 ...]

Both maximize the label-free objective, without anchors. Reported are VUS-PR of the trial with the largest value, of the best
trial (an oracle), the correlation of both over trials, and the largest fraction of trials of one family. A run that is logged in
the output folder is not repeated.
"""

import argparse
import json
import sys
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from suite import domains, measured

from tsad.data.dataset import DataSet
from tsad.errors import DataError
from tsad.evaluation.intervals import paired_difference
from tsad.experiment import run
from tsad.lengths import filled, lengths, reach
from tsad.selection.objective import LabelFreeSpec
from tsad.selection.trial import Candidate, Trial
from tsad.tuning.algorithms.contract import SpaceExhaustedError
from tsad.tuning.spec import parse_search
from tsad.workflows.context import open_context

SERIES = (
    "asd/omi-1",
    "asd/omi-4",
    "msl/T-4",
    "skab/valve1-0",
    "skab/valve1-7",
    "smap/E-1",
    "smap/P-1",
    "tennessee/fault-05",
)
SPACE: dict[str, Any] = {
    "split": {"gap": "auto"},
    "window": {"length": {"choice": [8, 16, 32, "auto"]}},
    "model": {
        "choice": [
            {"kind": "window_linear", "components": {"choice": [2, 4, 8, 16]}},
            {"kind": "multiscale_linear", "halvings": {"choice": [0, 1, 2, 3]}, "components": {"choice": [2, 4, 8]}},
            {"kind": "autoregressive_ridge"},
            {"kind": "nearest_neighbor"},
            {"kind": "k_means"},
            {"kind": "l2"},
        ]
    },
    "scoring": {
        "error": {"choice": ["squared", "absolute"]},
        "over": {"choice": ["last", "window"]},
        "scale": {"choice": ["none", "validation"]},
        "compress": {"choice": ["none", "log1p", "root"]},
        "smooth": {"choice": [{"kind": "none"}, {"kind": "mean", "length": {"choice": [3, 5, 10, 20]}}]},
    },
    "threshold": {"kind": "ewma"},
}
ALGORITHMS = ("random", "map_elites", "evolution")


def searched(data: DataSet, section: dict[str, Any], algorithm: str, seed: int, trials: int) -> dict[str, Any]:
    """Returns what one search got, its trials run one after the other."""
    values = filled({**SPACE, "data": section}, lengths(data))
    settings = {"trials": trials, "anchors": [], "algorithm": {"kind": algorithm}, "seed": seed}
    config = parse_search({**values, "search": settings}, "niches", "niches")
    proposer = config.spec.algorithm.build(config.space, seed)
    objective = LabelFreeSpec(kind="label_free", edge=reach(values) - 1)
    rows: list[dict[str, Any]] = []
    for _ in range(trials):
        try:
            candidate = proposer.suggest()
        except SpaceExhaustedError:
            break
        if candidate is None:
            break
        trial, figures = tried(candidate, data, objective)
        proposer.update(trial)
        rows.append(figures)
    table = pd.DataFrame(rows)
    finished = table.dropna(subset=["value"])
    families = Counter(table["family"])
    return {
        "chosen": finished.loc[finished["value"].idxmax(), "vus_pr"],
        "best": finished["vus_pr"].max(),
        "median": finished["vus_pr"].median(),
        "rank": finished["value"].corr(finished["vus_pr"], method="spearman"),
        "largest family": max(families.values()) / len(table),
    }


def tried(candidate: Candidate, data: DataSet, objective: LabelFreeSpec) -> tuple[Trial, dict[str, Any]]:
    try:
        outcome = run(candidate.experiment, data)
        value, vus_pr = objective.value(outcome), measured(outcome, objective.edge)["vus_pr"]
    except (DataError, ValueError) as error:
        failed = Trial(candidate, "failed", None, seconds=1.0, reason=str(error))
        return failed, {"family": candidate.family, "value": None, "vus_pr": None}
    trial = Trial(candidate, "finished", value, seconds=outcome.seconds)
    return trial, {"family": candidate.family, "value": value, "vus_pr": vus_pr}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--series", nargs="+", default=SERIES)
    arguments = parser.parse_args()
    context = open_context()
    folder = context.settings.output_dir / "suite"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "niches.jsonl"
    logged = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    done = {(row["series"], row["algorithm"], row["seed"], row["trials"]) for row in logged}
    sections = {
        name: section for group in domains(context.settings.data_dir).values() for name, section in group.items()
    }
    for name in arguments.series:
        data = parse_search({**SPACE, "data": sections[name]}, name, name).data.load(context.settings.data_dir)
        for seed in range(arguments.seeds):
            for algorithm in ALGORITHMS:
                key = (name, algorithm, seed, arguments.trials)
                if key not in done:
                    result = searched(data, sections[name], algorithm, seed, arguments.trials)
                    logged.append({**dict(zip(("series", "algorithm", "seed", "trials"), key, strict=True)), **result})
                    with path.open("a") as log:
                        log.write(json.dumps(logged[-1]) + "\n")
        print(name, flush=True)
    show(pd.DataFrame(logged))


def show(table: pd.DataFrame) -> None:
    """Prints the mean of each algorithm, and what each gains over random, paired by series after averaging seeds."""
    table["domain"] = table["series"].str.split("/").str[0]
    figures = ["chosen", "best", "median", "rank", "largest family"]
    by_domain = table.groupby(["algorithm", "domain"])[figures].mean()
    print(by_domain.groupby("algorithm").mean().to_string(float_format="{:.3f}".format))
    by_series = table.groupby(["algorithm", "series"])[figures].mean()
    for algorithm in ALGORITHMS[1:]:
        for figure in ("chosen", "best"):
            pair = (by_series.loc[name, figure].to_numpy() for name in (algorithm, "random"))
            print(
                f"{algorithm} minus random, {figure}: {paired_difference(*pair, np.random.default_rng(0)).difference}"
            )


if __name__ == "__main__":
    sys.exit(main())
