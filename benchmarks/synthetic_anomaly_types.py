"""Which types of anomalies a detector finds in synthetic series, beside the baselines.

    python benchmarks/synthetic_anomaly_types.py --seeds 3 --output synthetic_anomaly_types.csv
    python benchmarks/synthetic_anomaly_types.py --anomaly-types point decoupling --seeds 1 --epochs 1 --rows 600

One series for each anomaly type, anomalies of that type alone in its test rows, clean training rows. Figures are PR-AUC over all
test rows, means over the seeds, which make both the series and the weights; no label chose anything. The last line, the
share of anomalous rows, is what a random score gets.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from tsad.assessment.baselines import run_baselines
from tsad.data.injection import ANOMALY_TYPES
from tsad.experiment import run
from tsad.workflows.inputs import read_experiment

EXPERIMENT = Path(__file__).resolve().parents[1] / "experiments" / "synthetic_lstm.yaml"
TYPES = ("level_shift", "noise_burst", "decoupling")


def main() -> None:
    arguments = read_arguments()
    cases = [(kind, seed) for kind in arguments.anomaly_types for seed in range(arguments.seeds)]
    lines = [line for case in tqdm(cases, unit="series", disable=None) for line in measured(*case, arguments)]
    found = pd.DataFrame(lines)
    table = found.pivot_table(index="detector", columns="anomaly_type", values="pr_auc", sort=False)
    print(f"\nPR-AUC by anomaly type, mean of {arguments.seeds} seeds\n")
    print(table.to_string(float_format=lambda value: f"{value:.3f}"))
    if arguments.output:
        found.to_csv(arguments.output, index=False)


def measured(kind: str, seed: int, arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Returns a line for the detector, for each baseline, and for chance on the series of an anomaly type and a seed."""
    changes = {
        "data": {"kind": "synthetic_anomaly_types", "anomaly_types": [kind], "seed": seed, "rows": arguments.rows},
        "seed": seed,
        "model": {"kind": arguments.model},
        "training.epochs": arguments.epochs,
    }
    experiment = read_experiment(EXPERIMENT, changes)
    data = experiment.data.load(Path())
    outcomes = {arguments.model: run(experiment, data), **run_baselines(experiment, data)}
    found = {name: outcome.report.metrics["ranking/pr_auc"] for name, outcome in outcomes.items()}
    found["share of anomalous rows"] = float(data.test.labels.mean())
    return [{"anomaly_type": kind, "seed": seed, "detector": name, "pr_auc": value} for name, value in found.items()]


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anomaly-types", nargs="+", choices=ANOMALY_TYPES, default=TYPES)
    parser.add_argument("--model", default="lstm_ae", help="kind of the model beside the baselines")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--output", type=Path, help="CSV with a line for each run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
