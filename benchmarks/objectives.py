"""Does what a search maximizes mean anything? Rank correlations with the test metrics, over random trials of the full space.

    python benchmarks/objectives.py [--machines 1-2 2-1 2-8 3-4] [--trials 40] [--every 4]

Rows are averages of `--every` in a row. Every trial is finished and valued by both objectives that read no label. The test
metrics read labels afterwards and chose nothing. Spearman's correlation per machine with a bootstrap interval over trials,
and the mean over machines.
"""

import argparse
import sys

import pandas as pd
from logged_searches import searched, trials

from tsad.tuning.analysis import rank_correlation
from tsad.workflows.context import open_context

OBJECTIVES = {"value": "label_free", "objective/validation_error": "validation_error"}
METRICS = ("ranking/vus_pr", "ranking/pr_auc", "oracle/best_f1", "deployable/f1")


def main() -> None:
    arguments = read_arguments()
    context = open_context()
    rows = []
    for machine in arguments.machines:
        changes = {
            "data.machine": machine,
            "data.every": arguments.every,
            "search.algorithm.kind": "random",
            "search.trials": arguments.trials,
            "search.asha": None,
            "search.ensemble": None,
            "search.reuse": False,
        }
        found = trials(context, searched(context, "full", changes))
        found = found[found["state"] == "finished"]
        for column, objective in OBJECTIVES.items():
            for metric in METRICS:
                both = found[[column, metric]].dropna()
                correlation = rank_correlation(both[column].to_numpy(), both[metric].to_numpy())
                shown = {"machine": machine, "objective": objective, "metric": metric, "trials": len(both)}
                if correlation is not None:
                    rows.append(shown | {"value": correlation.value, "low": correlation.low, "high": correlation.high})
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    mean = table.pivot_table(index="metric", columns="objective", values="value")
    print(
        f"\nmean over machines, {table.groupby('machine')['trials'].max().sum()} trials\n\n{mean.round(2).to_string()}"
    )


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", nargs="+", default=["1-2", "2-1", "2-8", "3-4"])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--every", type=int, default=4)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
