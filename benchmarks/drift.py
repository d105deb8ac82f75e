"""How often drift is found on SMD where there is none, and where there is.

    python benchmarks/drift.py --machines 2-1 1-2

A detector in closed form learns from the first three quarters of a machine's training rows. What `tsad drift` says of the
others, which are normal and days later, of the test rows, and of the next machine's; then of blocks of the later training
rows, as they are (any feature that drifted is a false alarm, though slow drift is real too) and with one feature shifted by two
deviations (how often that feature is found).
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.drift import Drift, Profile, drift
from tsad.experiment import Outcome, run
from tsad.spec import parse
from tsad.workflows.context import open_context

LENGTHS = {"64 rows": 64, "a day": 1440}
BLOCKS = 12
"""Blocks of each length, evenly spread over the later training rows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", nargs="+", default=["2-1", "1-2"])
    machines = parser.parse_args().machines
    folder = open_context().settings.data_dir
    experiments = {machine: experiment_of(machine) for machine in machines}
    data = {machine: experiment.data.load(folder) for machine, experiment in experiments.items()}
    others = dict(zip(machines, [*machines[1:], machines[0]], strict=True))
    table = {
        machine: measure(run(experiment, data[machine]), data[others[machine]])
        for machine, experiment in experiments.items()
    }
    print(pd.DataFrame(table).to_string())


def experiment_of(machine: str) -> ExperimentConfig:
    values = {
        "data": {"kind": "smd", "machine": machine},
        "window": {"length": 16},
        "model": {"kind": "window_linear", "components": 16},
        "scoring": {"compress": "root", "smooth": {"kind": "mean", "length": 10}},
    }
    return parse(ExperimentConfig, values, machine)


def measure(outcome: Outcome, other: DataSet) -> dict[str, object]:
    """Returns a column of the table."""
    profile = Profile.of(outcome.detector, outcome.parts.fit, outcome.validation)
    later = outcome.parts.validation.values  # noqa: PD011
    found: dict[str, object] = {
        "later training rows": said(drift(profile, later, outcome.validation.values)),
        "test rows": said(drift(profile, outcome.parts.test.values, outcome.test.values)),
        "rows of the next machine": said(
            drift(profile, other.train.values, outcome.detector.score(other.train).values)
        ),
    }
    live = [place for place, column in enumerate(profile.inputs.columns) if not column.is_constant]
    for name, length in LENGTHS.items():
        drifted = np.array([states(profile, block) for block in blocks(later, length)])
        found[f"{name}: any feature drifted"] = f"{drifted.any(axis=1).mean():.2f}"
        found[f"{name}: a feature drifted"] = f"{drifted.mean():.3f}"
        found[f"{name}: shift found"] = f"{shifts_found(profile, later, length, live):.2f}"
    return found


def said(found: Drift) -> str:
    drifted = sum(column.state == "drifted" for column in found.features)
    return f"{drifted} drifted; scores {found.scores.state if found.scores else 'unknown'}"


def blocks(rows: NDArray[np.float32], length: int) -> Iterator[NDArray[np.float32]]:
    for start in np.linspace(0, len(rows) - length, BLOCKS).astype(int):
        yield rows[start : start + length]


def states(profile: Profile, rows: NDArray[np.float32]) -> list[bool]:
    return [column.state == "drifted" for column in drift(profile, rows).features]


def shifts_found(profile: Profile, rows: NDArray[np.float32], length: int, live: Sequence[int]) -> float:
    """Returns the share of features that have drifted after a shift; all at once, since each is judged by itself."""
    step = np.array([2 * column.deviation for column in profile.inputs.columns], dtype=np.float32)
    return float(np.mean([np.array(states(profile, block + step))[live] for block in blocks(rows, length)]))


if __name__ == "__main__":
    sys.exit(main())
