"""Detectors x machines x seeds of SMD, from logged runs: one table with intervals, a paired test, and what each costs.

    OMP_NUM_THREADS=1 python benchmarks/smd.py [--machines 1-2 1-3 ...] [--seeds 3] [--parallel 2] [--only multiscale l2]

Row threshold, no point adjustment; every detector has the same split and the same threshold rule. Settings are the same on every
machine. Those of `multiscale`, `linear` and their average were fixed while looking at the twelve machines that are the default,
so these are their development set; the post-processing of the trained ones was chosen without labels. A run that is logged
already is not repeated.

Seeds are averaged first, machines then. The interval is a bootstrap over machines; the last columns compare VUS-PR with that
of the best baseline, machine by machine: mean difference with its interval, and Wilcoxon's signed-rank p. Best F1 is
an oracle: labels of the reported rows chose its threshold.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from logged_runs import Average, add_options, complete

from tsad.assessment.baselines import BASELINES, baseline
from tsad.config import ExperimentConfig
from tsad.evaluation.intervals import paired_difference
from tsad.spec import parse_overrides
from tsad.workflows.context import open_context
from tsad.workflows.inputs import read_experiment

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
MACHINES = ["1-2", "1-3", "1-6", "1-7", "2-1", "2-3", "2-5", "2-8", "3-2", "3-4", "3-7", "3-10"]
COMMON = {"threshold": {"kind": "ewma"}, "split.gap": 1600}
DEEP = {
    "scoring": {"over": "last", "compress": "root", "smooth": {"kind": "mean", "length": 10}},
    "training.epochs": 5,
    "window.stride": 8,
}
"""What benchmarks/postprocessing.py found without labels, and trainings short enough for two cores."""
DETECTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "multiscale": ("smd_multiscale", {}),
    "lstm": ("smd_lstm", DEEP),
    "tcn": ("smd_tcn_feature_scaled", DEEP),
    "transformer": ("smd_transformer", DEEP),
    "forecaster": ("smd_forecaster", DEEP),
    "adversarial": ("smd_adversarial", {**DEEP, "window.length": 32, "training.learning_rate": 1.0e-3}),
    "linear": (
        "smd_multiscale",
        {
            "model": {"kind": "window_linear", "components": 16},
            "window": {"length": 16},
            "scoring": {
                "over": "window",
                "compress": "log1p",
                "normalization": {"kind": "rolling_median", "length": 1440, "share": 0.5},
            },
        },
    ),
}
"""By name: experiment file and changes. All of it takes about two hours of one core."""
CLOSED = ("multiscale", "linear")
"""Draw nothing at random, so they run with one seed."""
AVERAGE = ("multiscale", "multiscale", "linear")
"""Their mean surprisal is one more detector, named `average`; the first counts twice."""
SHOWN = {
    "ranking/vus_pr": "VUS-PR",
    "ranking/pr_auc": "PR-AUC",
    "ranking/roc_auc": "ROC-AUC",
    "oracle/best_f1": "best F1 (oracle)",
    "deployable/f1": "F1 (deployable)",
    "event/f1": "event F1",
    "affiliation/f1": "affiliation",
    "cost/seconds": "seconds",
    "cost/parameters": "numbers",
}
PRIME = "ranking/vus_pr"


def main() -> None:
    arguments = read_arguments()
    runs = complete(open_context(), "benchmark-smd", wanted_runs(arguments), arguments.parallel)
    runs["machine"] = runs["case"].str.split().str[0]
    by_machine = runs.groupby(["name", "machine"])[[*SHOWN]].mean()
    table = summary(by_machine)
    print(f"\nmean over {runs['machine'].nunique()} machines: {', '.join(arguments.machines)}\n")
    print(table.to_string(float_format=lambda value: f"{value:.3f}"))
    print(f"\nVUS-PR by machine\n\n{prime(by_machine).loc[table.index].to_string(float_format='{:.2f}'.format)}")
    if arguments.csv:
        runs.to_csv(arguments.csv, index=False)


def wanted_runs(arguments: argparse.Namespace) -> dict[tuple[str, str], ExperimentConfig | Average]:
    """Returns the experiments by detector and case; what draws nothing at random runs with one seed."""
    changes = {**COMMON, **parse_overrides(arguments.changes)}
    wanted: dict[tuple[str, str], Any] = {}
    for machine in arguments.machines:
        for name, (file, own) in DETECTORS.items():
            for seed in range(1 if name in CLOSED else arguments.seeds):
                place = {"data.machine": machine, "seed": seed}
                wanted[name, f"{machine} {seed}"] = read_experiment(
                    EXPERIMENTS / f"{file}.yaml", {**own, **changes, **place}
                )
        base = wanted["multiscale", f"{machine} 0"]
        wanted |= {(f"baseline {name}", f"{machine} 0"): baseline(base, name) for name in BASELINES}
        wanted["average", f"{machine} 0"] = Average(tuple(wanted[name, f"{machine} 0"] for name in AVERAGE))
    if arguments.only:
        wanted = {pair: each for pair, each in wanted.items() if pair[0] in arguments.only}
    return wanted


def summary(by_machine: pd.DataFrame) -> pd.DataFrame:
    """Returns a row per detector, the best mean VUS-PR first, compared with the best baseline."""
    generator = np.random.default_rng(0)
    table = by_machine.groupby("name").mean().rename(columns=SHOWN).sort_values("VUS-PR", ascending=False)
    values = prime(by_machine)
    baseline_names = [name for name in table.index if name.startswith("baseline ")]
    for name in table.index if baseline_names else []:
        rival = next(each for each in baseline_names if each != name)
        both = values.loc[[name, rival]].dropna(axis=1).to_numpy()
        if both.shape[1] > 1:
            found = paired_difference(both[0], both[1], generator)
            table.loc[name, f"against {baseline_names[0].removeprefix('baseline ')}"] = str(found.difference)
            table.loc[name, "p"] = found.p_value
            table.loc[name, "wins"] = f"{found.wins}/{found.cases}"
    return table


def prime(by_machine: pd.DataFrame) -> pd.DataFrame:
    """Returns VUS-PR, a row per detector and a column per machine."""
    return by_machine.reset_index().pivot_table(index="name", columns="machine", values=PRIME)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", nargs="+", default=MACHINES)
    parser.add_argument("--seeds", type=int, default=3)
    add_options(parser, "multiscale or 'baseline l2'")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
