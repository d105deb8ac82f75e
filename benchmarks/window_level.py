"""The two adversarial recipes at window level, beside the published figures of SMD machine-1-1.

    python benchmarks/window_level.py --machines 1-2 2-1 2-8 3-4

A window's score is its mean squared error, its label is 1 if any of its rows is anomalous; no smoothing, best F1 is an
oracle. Such figures do not compare with row-level ones: an event counts once per window that touches it.
Published for machine-1-1: ROC-AUC .9508, PR-AUC .7618, best F1 .7149 (window 128, stride 32); ROC-AUC .9453 (window 100).
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from logged_runs import complete, fetch

from tsad.config import ExperimentConfig
from tsad.detector.detector import Detector
from tsad.evaluation.report import evaluate
from tsad.windows import cut
from tsad.workflows.context import Context, open_context
from tsad.workflows.inputs import read_experiment

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
WIDE = {"window": {"length": 128, "stride": 32}, "split.gap": 200}
RECIPES = {
    "reconstruction + mask-only + InfoNCE + adversarial, 128/32": ("smd_contrastive", 32, WIDE),
    "50 squared + 0.05 adversarial, 100/30": ("smd_adversarial", 30, {}),
}
"""By title: experiment file, stride of the evaluated windows, changes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", nargs="+", default=["1-2", "2-1", "2-8", "3-4"])
    parser.add_argument("--parallel", type=int, default=2, help="runs side by side, one thread each")
    arguments = parser.parse_args()
    context = open_context()
    wanted = {
        (title, machine): read_experiment(EXPERIMENTS / f"{file}.yaml", {"data.machine": machine, **changes})
        for title, (file, _, changes) in RECIPES.items()
        for machine in arguments.machines
    }
    complete(context, "benchmark-variants", wanted, arguments.parallel)
    rows = [
        {"recipe": title, "machine": machine, **measure(context, wanted[title, machine], RECIPES[title][1])}
        for title, machine in wanted
    ]
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.4f}"))


@torch.no_grad()
def measure(context: Context, experiment: ExperimentConfig, stride: int) -> dict[str, float]:
    """Returns the window-level metrics of a logged run's detector on its test rows."""
    with tempfile.TemporaryDirectory() as folder:
        scorer = Detector.load(fetch(context, "benchmark-variants", experiment, Path(folder))).scorer
    test = experiment.data.load(context.settings.data_dir).test
    windows = cut(scorer.scaler.apply(test), scorer.window_length, stride)
    row_errors = [scorer.model(batch).residual(batch).square().mean(dim=(1, 2)) for batch in windows.batches(256)]
    scores = torch.cat(row_errors).double().numpy()
    labels = np.array([test.labels[start : start + windows.length].any() for start in windows.starts])
    found = evaluate(scores, None, labels).metrics
    return {
        name: found[f"{group}/{name}"]
        for group, name in (("ranking", "roc_auc"), ("ranking", "pr_auc"), ("oracle", "best_f1"), ("ratio", "true"))
    }


if __name__ == "__main__":
    sys.exit(main())
