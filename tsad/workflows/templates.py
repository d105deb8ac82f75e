"""Templates for new rows: one experiment, or a small search."""

from collections.abc import Mapping
from typing import Any

from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.data.split import split
from tsad.errors import DataError, TsadError
from tsad.spec import parse, put
from tsad.tuning.quickstart import LEAST_ROWS, quickstart_space
from tsad.windows import cut

_LENGTHS = (32, 16, 8, 4, 2)
_WINDOWS = 20_000
"""Number of training windows that an epoch takes a second or two for."""
_TRIALS = 12


def experiment_on(values: Mapping[str, Any], data: DataSet) -> dict[str, Any] | None:
    """Returns the values of an experiment on the data, its window as long as the rows allow; None if there are too few."""
    for length in _LENGTHS:
        template = {
            "seed": 7,
            **values,
            "split": {"gap": 2 * length},
            "window": {"length": length, "stride": _stride(data)},
            "model": {"kind": "lstm_ae", "hidden": 64, "latent": 16},
            "training": {"epochs": 10, "learning_rate": 3.0e-3},
            "scoring": {"over": "window", "compress": "log1p", "smooth": {"kind": "mean", "length": 5}},
            "threshold": {"kind": "percentile", "percentile": 99},
        }
        experiment = parse(ExperimentConfig, template, "experiment")
        rows_needed = experiment.lookback + 1
        try:
            parts = split(data, experiment.split.model_copy(update={"gap": max(2 * length, rows_needed)}), rows_needed)
            for part in (parts.fit, parts.validation, parts.test):
                cut(part, rows_needed)
        except (TsadError, ValueError):
            continue
        return put(template, {"split.gap": max(2 * length, rows_needed)})
    return None


def search_on(values: Mapping[str, Any], data: DataSet) -> dict[str, Any]:
    """Returns the values of a search space file; raises `DataError` if there are too few rows to compare detectors on."""
    if len(data.train) < LEAST_ROWS:
        raise DataError(
            f"a search needs at least {LEAST_ROWS} rows to learn from, but there are {len(data.train)}; give more, lower "
            f"data.test_ratio, or train one experiment"
        )
    return put(quickstart_space(values["data"], _TRIALS), {"window.stride": _stride(data)})


def _stride(data: DataSet) -> int:
    return max(1, len(data.train) // _WINDOWS)
