"""Which post-processing the label-free objective takes, the same for every machine and every trained detector.

    OMP_NUM_THREADS=1 python benchmarks/postprocessing.py [--machines 1-2 1-3 ...]

One closed-form model, the linear autoencoder of 16 rows, is fitted on each machine; every way from its errors to scores is
judged by anomalies injected into validation rows, and the mean over the machines decides. No label is read. Trained
detectors take what is found here, since to choose it for each of them would cost more than they do. `benchmarks/smd.py` uses it.
"""

import argparse
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
from smd import COMMON, MACHINES

from tsad.assessment.baselines import baseline
from tsad.detector.detector import Scorer
from tsad.detector.scoring import ScoringSpec
from tsad.experiment import Outcome, run
from tsad.selection.objective import LabelFreeSpec
from tsad.spec import parse
from tsad.workflows.context import read_settings
from tsad.workflows.inputs import read_experiment

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
WAYS = [
    {"over": over, "compress": compress, "smooth": {"kind": "mean", "length": length}}
    for over, compress, length in product(("last", "window"), ("none", "log1p", "root"), (1, 3, 10, 20))
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", nargs="+", default=MACHINES)
    rows = []
    for machine in parser.parse_args().machines:
        experiment = baseline(
            read_experiment(EXPERIMENTS / "smd_multiscale.yaml", {**COMMON, "data.machine": machine}), "window linear"
        )
        outcome = run(experiment, experiment.data.load(read_settings().data_dir))
        for way in WAYS:
            value = LabelFreeSpec(kind="label_free").value(rescored(outcome, parse(ScoringSpec, way, "way")))
            rows.append({"machine": machine, **way, "smooth": way["smooth"]["length"], "value": value})
        print(f"machine {machine} done", flush=True)
    table = pd.DataFrame(rows).pivot_table(index=["over", "compress", "smooth"], columns="machine", values="value")
    table.insert(0, "mean", table.mean(axis=1))
    print(table.sort_values("mean", ascending=False).to_string(float_format=lambda value: f"{value:.3f}"))


def rescored(outcome: Outcome, scoring: ScoringSpec) -> Outcome:
    """Returns the outcome with its detector's errors made into scores in another way; its reports stay as they were."""
    old = outcome.detector.scorer
    scorer = Scorer.fit(old.scaler, old.window_length, (old.model_spec, old.model), scoring, outcome.parts.validation)
    return replace(outcome, detector=replace(outcome.detector, scorer=scorer))


if __name__ == "__main__":
    sys.exit(main())
