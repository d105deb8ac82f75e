"""The baselines: what the cheapest detectors get on the same rows, for comparison with every metric."""

from collections.abc import Mapping
from typing import Any

import torch

from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.data.split import split
from tsad.errors import DataError
from tsad.experiment import Outcome, run
from tsad.models import ModelSpec
from tsad.models.baselines.principal import PcaErrorSpec
from tsad.models.contract import ClosedFormModel
from tsad.spec import parse, put

_SMOOTH = {"smooth": {"kind": "mean", "length": 10}}
_OF_WINDOWS = {"over": "window", "compress": "log1p"}

BASELINES: Mapping[str, Mapping[str, Any]] = {
    "random": {"model": {"kind": "random"}},
    "constant": {"model": {"kind": "constant"}},
    "l2": {"model": {"kind": "l2"}},
    "l2 smoothed": {"model": {"kind": "l2"}, "scoring": _SMOOTH},
    "largest z": {"model": {"kind": "l2"}, "scoring": {"error": "absolute", "features": "max", **_SMOOTH}},
    "range deviation": {"model": {"kind": "range_deviation"}, "scoring": _SMOOTH},
    "pca error": {"model": {"kind": "pca_error"}, "scoring": {"compress": "log1p", **_SMOOTH}},
    "nearest neighbor": {"model": {"kind": "nearest_neighbor"}, "scoring": {"compress": "log1p", **_SMOOTH}},
    "isolation forest": {"model": {"kind": "isolation_forest"}, "scoring": {"compress": "log1p", **_SMOOTH}},
    "autoregressive ridge": {
        "window.length": 6,
        "model": {"kind": "autoregressive_ridge"},
        "scoring": {"compress": "log1p", **_SMOOTH},
    },
    "window linear": {"window.length": 16, "model": {"kind": "window_linear"}, "scoring": _OF_WINDOWS},
    "k-means": {"window.length": 16, "model": {"kind": "k_means"}, "scoring": _OF_WINDOWS},
}
"""Sections by name that replace those of the experiment; fixed beforehand, so no label chooses among their settings. The
window is of one row unless they say otherwise."""

UNTRAINED = "untrained copy"

MEMORY = 2 * 2**30
"""Bytes that fitting and scoring a baseline may take, about; one that would take more is left out."""
_NARROW = 256
"""Number of features up to which no baseline takes that many, whatever the number of rows."""


def baseline(experiment: ExperimentConfig, name: str) -> ExperimentConfig:
    """Returns the experiment of a baseline, by its name in `BASELINES`, on the same rows and with the same threshold.

    Its gap is wider where its score looks at more rows than the gap has.
    """
    values = experiment.model_dump(mode="json", include={"seed", "data", "split", "scaler", "threshold"})
    baseline_config = parse(ExperimentConfig, put(values, {"window.length": 1, **BASELINES[name]}), f"baseline {name}")
    gap = max(baseline_config.split.gap, baseline_config.lookback + 1)
    return baseline_config.model_copy(update={"split": baseline_config.split.model_copy(update={"gap": gap})})


def untrained(experiment: ExperimentConfig) -> ExperimentConfig:
    """Returns the experiment with its model left as it was initialized, to measure architecture and scoring alone."""
    sections = [f"members.{index}." for index in range(len(experiment.members))] or [""]
    changes: dict[str, Any] = {f"{section}training": {"epochs": 0} for section in sections}
    changes |= {f"{section}objective": {} for section in sections}
    return parse(ExperimentConfig, put(experiment.model_dump(mode="json"), changes), UNTRAINED)


def run_baselines(experiment: ExperimentConfig, data: DataSet) -> dict[str, Outcome]:
    """Returns the outcome by name of each baseline; its `test` scores all test rows, whatever it reports itself.

    Left out are baselines whose scores look at more rows than a part of the data has, PCA error where it has as many
    axes as there are features, since it would explain everything, and those that `too_large` names. A model that is
    trained by gradient is also compared with an untrained copy of itself.
    """
    features = len(data.train.features)
    large = too_large(experiment, data)
    configs = {name: baseline(experiment, name) for name in BASELINES if name not in large}
    configs = {
        name: config
        for name, config in configs.items()
        if not _explains_all(config.model, features) and _has_enough_rows(config, data)
    }
    models = (scorer.model.build(features, scorer.window.length) for scorer in experiment.scorers)
    if not all(isinstance(model, ClosedFormModel) for model in models):
        configs[UNTRAINED] = untrained(experiment)
    return {name: run(config, data) for name, config in configs.items()}


def too_large(experiment: ExperimentConfig, data: DataSet) -> dict[str, int]:
    """Returns the baselines that would take more than `MEMORY` on wide data, by name, with the bytes that they would take."""
    if len(data.train.features) <= _NARROW:
        return {}  # the first model without memory costs a second
    sizes = {name: _bytes(baseline(experiment, name), data) for name in BASELINES}
    return {name: size for name, size in sizes.items() if size > MEMORY}


def _bytes(experiment: ExperimentConfig, data: DataSet) -> int:
    member = experiment.scorers[0]
    with torch.device("meta"):  # shapes without memory
        model = member.model.build(max(len(data.train.features), _axes(member.model)), member.window.length)
    windows = round(len(data.train) * (1 - experiment.split.validation))
    return model.fit_bytes(windows) if isinstance(model, ClosedFormModel) else 0


def _axes(model: ModelSpec) -> int:
    """Returns how many features a model needs to be built at all."""
    return model.components if isinstance(model, PcaErrorSpec) else 1


def _has_enough_rows(experiment: ExperimentConfig, data: DataSet) -> bool:
    """Returns whether each part of the data has the rows that a score looks at, and validation has two scores."""
    needed = experiment.lookback + 1
    try:
        parts = split(data, experiment.split, needed)
    except DataError:
        return False
    return min(len(parts.fit), len(parts.validation) - 1) >= needed


def _explains_all(model: ModelSpec | None, features: int) -> bool:
    return isinstance(model, PcaErrorSpec) and model.components >= features
