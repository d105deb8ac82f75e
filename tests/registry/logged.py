"""A detector that was trained, logged and registered once, for the tests of the registry."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tsad.data.dataset import DataSet
from tsad.detector.detector import Detector
from tsad.tracking.store import Store

NAME = "tsad-under-test"
EXPERIMENT = {
    "data": {"kind": "synthetic", "rows": 400, "features": 4, "events": 8},
    "split": {"gap": 12},
    "window": {"length": 8},
    "model": {"kind": "lstm_ae", "hidden": 4, "latent": 2},
    "training": {"epochs": 1},
    "scoring": {"over": "window", "smooth": {"kind": "mean", "length": 3}},
    "threshold": {"kind": "percentile", "percentile": 80},
}
BEFORE = 7 + 2
"""Rows before the first score: a window of 8, then the mean of 3."""


@dataclass(frozen=True)
class Logged:
    """A detector that was logged and registered once."""

    store: Store
    run_id: str
    uri: str
    version: str
    folder: Path
    data: DataSet
    detector: Detector

    @property
    def rows(self):
        return table(self.data.test)


def table(series):
    return pd.DataFrame(series.values.astype(np.float64), columns=list(series.features))
