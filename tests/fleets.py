"""Panels and saved fleets for tests."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.examples import detector_of, from_defaults
from tsad.data.io.read_options import ReadOptions
from tsad.detector.detector import Detector
from tsad.detector.scoring import ScoringSpec
from tsad.fleet import Fleet
from tsad.models.baselines.principal import WindowLinearSpec
from tsad.series import Series

FEATURES = ("cpu", "load", "net")


def machine_rows(number: int, rows: int) -> np.ndarray:
    """Returns (rows, 3) noisy waves at a level that no other machine has."""
    generator = np.random.default_rng(number)
    waves = np.sin(np.arange(rows)[:, None] / np.array([4.0, 7.0, 11.0]))
    return (10 * number + waves + generator.normal(0, 0.1, (rows, 3))).round(4)


def panel(names: list[str], rows: int = 200, *, mixed: bool = False) -> pd.DataFrame:
    """Returns the rows of machines below each other, or in the order of their times."""
    tables = []
    for number, name in enumerate(names):
        table = pd.DataFrame(machine_rows(number, rows), columns=list(FEATURES))
        table.insert(0, "machine", name)
        table.insert(0, "time", pd.date_range("2024-01-01", periods=rows, freq="min"))
        tables.append(table)
    whole = pd.concat(tables, ignore_index=True)
    return whole.sort_values("time", kind="stable", ignore_index=True) if mixed else whole


def detector(number: int, rows: int = 200) -> Detector:
    """Returns a detector of the rows of one machine."""
    series = Series(machine_rows(number, rows).astype(np.float32), FEATURES)
    return detector_of(from_defaults(WindowLinearSpec), series, 8, ScoringSpec())


def saved(folder: Path, names: list[str], *, shared: bool = False, column: str | None = "machine") -> Fleet:
    """Returns a fleet in a folder, with a detector for each machine."""
    entities = {name: f"entities/{number:05d}" for number, name in enumerate(names)}
    options = ReadOptions(features=FEATURES, entity=column, time="time", step_seconds=60.0)
    for number, path in enumerate(entities.values()):
        detector(number).save(folder / path)
        options.save(folder / path)
    if shared:
        detector(99).save(folder / "shared")
    options.save(folder)
    return Fleet.save(folder, FEATURES, entities, "shared" if shared else None, column)
