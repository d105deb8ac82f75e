"""Search algorithms on the full space, at equal seconds: incumbents over time, and the champions beside the baselines.

    python benchmarks/nas_live.py [--machines 2-1 3-7] [--algorithms evolution random] [--seeds 3] [--seconds 600] [--plot FILE]

Every search is run anew (nothing is reused from another) on two workers and logged; one that is logged already is not
repeated. What is maximized reads no label; VUS-PR, PR-AUC and deployable F1 are those of the champion on the test rows.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from logged_searches import searched, trials
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tsad.workflows.context import open_context

SHOWN = {"value": "value", "ranking/vus_pr": "VUS-PR", "ranking/pr_auc": "PR-AUC", "deployable/f1": "F1 (deployable)"}


def main() -> None:
    arguments = read_arguments()
    context = open_context()
    rows, curves = [], {}
    for machine in arguments.machines:
        for algorithm in arguments.algorithms:
            for seed in range(arguments.seeds):
                changes = {
                    "data.machine": machine,
                    "search.algorithm.kind": algorithm,
                    "search.seed": seed,
                    "search.trials": 1000,
                    "search.seconds": arguments.seconds,
                    "search.reuse": False,
                }
                run = searched(context, "full", changes)
                tried = trials(context, run)
                curves[machine, algorithm, seed] = tried[tried["state"] == "finished"]
                shown = {name: run.data.metrics.get(metric) for metric, name in SHOWN.items()}
                rows.append({"machine": machine, "detector": algorithm, "seed": seed, "trials": len(tried), **shown})
        rows += [{"machine": machine, **each} for each in baselines(run.data.metrics)]
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.3f}"))
    columns = [name for name in SHOWN.values() if name in table]
    means = table.groupby(["machine", "detector"])[columns].mean().sort_values("VUS-PR", ascending=False)
    print(f"\nmeans\n\n{means.sort_index(threshold=0, sort_remaining=False).round(3).to_string()}")
    if arguments.plot:
        draw(curves, arguments.seconds).savefig(arguments.plot, dpi=120)


def baselines(metrics: dict[str, float]) -> list[dict[str, object]]:
    """Returns a row per baseline that was assessed beside a champion."""
    names = dict.fromkeys(name.split("/")[1] for name in metrics if name.startswith("baseline/"))
    return [
        {
            "detector": f"baseline {each}",
            **{
                name: metrics[f"baseline/{each}/{key}"]
                for key, name in SHOWN.items()
                if f"baseline/{each}/{key}" in metrics
            },
        }
        for each in names
    ]


def draw(curves: dict[tuple[str, str, int], pd.DataFrame], seconds: float) -> Figure:
    """Returns the best value so far over time: the mean of the seeds, and a band from the worst to the best of them."""
    machines = list(dict.fromkeys(machine for machine, _, _ in curves))
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    grid = np.linspace(0, seconds, 200)
    for axes, machine in zip(figure.subplots(1, len(machines), squeeze=False)[0], machines, strict=True):
        for place, algorithm in enumerate(dict.fromkeys(each for _, each, _ in curves)):
            lines = [best(found, grid) for key, found in curves.items() if key[:2] == (machine, algorithm)]
            known = ~np.isnan(lines).any(axis=0)
            axes.plot(grid[known], np.mean(lines, axis=0)[known], color=f"C{place}", label=algorithm)
            band = np.min(lines, axis=0)[known], np.max(lines, axis=0)[known]
            axes.fill_between(grid[known], *band, color=f"C{place}", alpha=0.12, linewidth=0)
        axes.set(title=f"machine {machine}", xlabel="seconds", ylabel="best value so far (label-free)")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6")
        axes.legend(frameon=False)
    return figure


def best(found: pd.DataFrame, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the best value of the trials that had ended at each time, NaN before the first."""
    ended = found["seconds"].to_numpy()[:, None] <= grid
    values = np.where(ended, found["value"].to_numpy()[:, None], -np.inf).max(axis=0, initial=-np.inf)
    return np.where(np.isinf(values), np.nan, values)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", nargs="+", default=["2-1", "3-7"])
    parser.add_argument("--algorithms", nargs="+", default=["evolution", "random"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--plot", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
