"""Every variant of models and objectives beside the baselines on several SMD machines, from logged runs.

    python benchmarks/variants.py --machines 1-2 2-1 2-8 3-4

Runs experiments/smd_*.yaml and the baselines on each machine, and prints means over the machines: row threshold, no
point adjustment. ROC-AUC and PR-AUC need no threshold; best F1 is an oracle (test labels chose its threshold); F1 is
deployable (threshold from validation rows). Every value of the YAMLs can be set: --set training.epochs=5.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from logged_runs import add_options, complete

from tsad.assessment.baselines import BASELINES, UNTRAINED, baseline, untrained
from tsad.spec import parse_overrides
from tsad.workflows.context import open_context
from tsad.workflows.inputs import read_experiment

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
SHOWN = {
    "ranking/vus_pr": "VUS-PR",
    "ranking/roc_auc": "ROC-AUC",
    "ranking/pr_auc": "PR-AUC",
    "oracle/best_f1": "best F1",
    "deployable/f1": "F1",
    "cost/seconds": "seconds",
    "cost/parameters": "parameters",
}


def main() -> None:
    arguments = read_arguments()
    changes = parse_overrides(arguments.changes)
    files = {path.stem: path for path in sorted(EXPERIMENTS.glob("smd_*.yaml"), reverse=True)}
    wanted = {}
    for machine in arguments.machines:
        read = {name: read_experiment(path, {"data.machine": machine, **changes}) for name, path in files.items()}
        base = read["smd_lstm"]
        baselines = {f"baseline {name}": baseline(base, name) for name in BASELINES} | {
            f"baseline {UNTRAINED}": untrained(base)
        }
        wanted |= {(name, machine): each for name, each in (baselines | read).items()}
    if arguments.only:
        wanted = {pair: each for pair, each in wanted.items() if pair[0] in arguments.only}
    runs = complete(open_context(), "benchmark-variants", wanted, arguments.parallel)
    table = summary(runs)
    print(f"\nmean over machines {', '.join(arguments.machines)}; PR-AUC by machine on the right\n")
    print(table.to_string(float_format=lambda value: f"{value:.3f}"))
    if arguments.csv:
        runs.to_csv(arguments.csv, index=False)


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Returns a row per variant, the best mean PR-AUC first: means over machines, and the PR-AUC of each machine."""
    means = runs.groupby("name")[list(SHOWN)].mean().rename(columns=SHOWN)
    means[["seconds", "parameters"]] = means[["seconds", "parameters"]].round().astype(int)
    by_machine = runs.pivot_table(index="name", columns="case", values="ranking/pr_auc")
    return means.join(by_machine).sort_values("PR-AUC", ascending=False)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", nargs="+", default=["1-2", "2-1", "2-8", "3-4"])
    add_options(parser, "smd_lstm or 'baseline l2'")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
