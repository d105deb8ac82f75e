"""What many tests start from."""

import logging
import os
import sys
from pathlib import Path

import hypothesis
import pytest
import torch

from tests.examples import sensors
from tsad.cli import main
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.series import Series
from tsad.spec import parse

REPOSITORY = Path(__file__).parents[1]

torch.set_num_threads(1)
hypothesis.settings.register_profile("tsad", deadline=None, max_examples=30, derandomize=True)
hypothesis.settings.load_profile("tsad")


@pytest.fixture(autouse=True)
def _variables_as_before():
    """Puts back the variables that choose a store, an experiment or a cluster: MLflow sets some of them itself."""
    before = _choosing_variables()
    yield
    for name in _choosing_variables().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _choosing_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("MLFLOW_", "TSAD_", "RAY_", "TUNE_"))}


@pytest.fixture
def small_series() -> Series:
    """120 rows of 6 coupled sensors, one segment, no labels."""
    return sensors(120)


@pytest.fixture
def small_experiment() -> ExperimentConfig:
    """Two epochs of a tiny network on 400 synthetic rows; half of the test rows are set apart for choosing."""
    values = {
        "seed": 3,
        "data": {"kind": "synthetic", "rows": 400, "features": 6, "events": 8},
        "split": {"selection": 0.5, "gap": 12},
        "window": {"length": 8},
        "model": {"kind": "lstm_ae", "hidden": 8, "latent": 3},
        "training": {"epochs": 2, "batch_size": 64, "learning_rate": 1e-2},
    }
    return parse(ExperimentConfig, values, "small experiment")


@pytest.fixture
def small_data(small_experiment: ExperimentConfig) -> DataSet:
    """The rows of `small_experiment`."""
    return small_experiment.data.load(Path())


@pytest.fixture(scope="session")
def smd_folder() -> Path:
    """Where the published SMD lies."""
    folder = Path(os.environ.get("TSAD_DATA_DIR", REPOSITORY / "../shared/data"))
    places = ("ServerMachineDataset", "OmniAnomaly-master", "OmniAnomaly-master.zip")
    if not any((folder / place).exists() for place in places):
        pytest.skip(f"SMD is not in {folder}; set TSAD_DATA_DIR to the folder that holds it")
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder and no settings but the defaults; whatever logging was opened is closed."""
    for name in os.environ:
        if name.startswith("TSAD_") or name == "MLFLOW_TRACKING_URI":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    loggers = [logging.getLogger(name) for name in ("tsad", "mlflow", "alembic")]
    before = [(logger, logger.handlers[:], logger.propagate) for logger in loggers]
    yield tmp_path
    for logger, handlers, propagate in before:
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.handlers[:], logger.propagate = handlers, propagate


@pytest.fixture
def tsad(monkeypatch, capsys):
    """Runs a command; returns its exit code, what it printed, and the lines of its errors."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["tsad", *(str(word) for word in words)])
        code = 0
        try:
            main()
        except SystemExit as left:
            code = left.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err.splitlines()

    return command
