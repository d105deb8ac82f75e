"""What anomalies among the training rows do to a detector, by objective, with and without masking.

    python benchmarks/contamination.py --data synthetic --seeds 3 --plot contamination.png
    python benchmarks/contamination.py --data 1-6 --seeds 1

Anomalous stretches of the first half of the test rows are mixed into the training rows until they are 0, 1, 5 and 10 % of
them; PR-AUC is that of the second half, the same rows for every share. Contrast needs a masked view, so it has no curve
without masking. The model is the TCN autoencoder of experiments/smd_tcn_plain.yaml throughout.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from logged_runs import complete
from matplotlib.figure import Figure

from tsad.workflows.context import open_context
from tsad.workflows.inputs import read_experiment

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
SHARES = (0.0, 0.01, 0.05, 0.1)
OBJECTIVES = {
    "squared": [{"kind": "squared_error"}],
    "huber": [{"kind": "huber_error"}],
    "critic": [{"kind": "squared_error"}, {"kind": "adversarial", "weight": 0.05}],
    "contrast": [{"kind": "squared_error"}, {"kind": "info_nce", "weight": 0.1}],
}
MASKS = {"": {"kind": "none"}, " + mask": {"kind": "geometric", "ratio": 0.15, "mean_length": 3.0}}


def main() -> None:
    arguments = read_arguments()
    data = {"kind": "synthetic"} if arguments.data == "synthetic" else {"kind": "smd", "machine": arguments.data}
    wanted = {
        (f"{objective}{mask}", f"{share} {seed}"): read_experiment(
            EXPERIMENTS / "smd_tcn_plain.yaml",
            {
                "data": data,
                "seed": seed,
                "split": {"selection": 0.5, "contamination": share},
                "window.stride": 1 if arguments.data == "synthetic" else 4,
                "objective": {"terms": terms, "mask": hiding},
            },
        )
        for objective, terms in OBJECTIVES.items()
        for mask, hiding in MASKS.items()
        for share in SHARES
        for seed in range(arguments.seeds)
        if not (objective == "contrast" and not mask)
    }
    runs = complete(open_context(), "benchmark-contamination", wanted, arguments.parallel)
    runs["share"] = runs["case"].str.split().str[0].astype(float)
    table = runs.pivot_table(index="name", columns="share", values="ranking/pr_auc")
    print(f"\nPR-AUC on {arguments.data} by share of anomalous training rows, mean of {arguments.seeds} seeds\n")
    print(table.to_string(float_format=lambda value: f"{value:.3f}"))
    if arguments.plot:
        draw(runs, arguments.data).savefig(arguments.plot, dpi=120)


def draw(runs: pd.DataFrame, title: str) -> Figure:
    """Returns a curve per objective, solid without and dashed with masking; the band spans the seeds."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    colors = {objective: f"C{place}" for place, objective in enumerate(OBJECTIVES)}
    for name, curve in runs.groupby("name"):
        objective, masked = str(name).split(" + ")[0], "mask" in str(name)
        points = curve.groupby("share")["ranking/pr_auc"].agg(["mean", "min", "max"])
        shares = points.index.to_numpy() * 100
        axes.plot(shares, points["mean"], "--" if masked else "-", color=colors[objective], marker="o", label=name)
        axes.fill_between(shares, points["min"], points["max"], color=colors[objective], alpha=0.08, linewidth=0)
    axes.set(xlabel="anomalous rows among the training rows, %", ylabel="PR-AUC", title=f"TCN autoencoder on {title}")
    axes.set_xticks([share * 100 for share in SHARES])
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic", help="synthetic, or a machine of SMD such as 1-6")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parallel", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--plot", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
