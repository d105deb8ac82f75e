"""Tracking stores for tests. MLflow keeps what is open in global variables and in the environment."""

import os
import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    # MLflow warns at the first import: of type hints of its own classes, and of its tables under SQLAlchemy 2.1.
    warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
    warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated", DeprecationWarning)
    import mlflow.pyfunc
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

from tsad.tracking.store import Store, open_store


def clear_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away what chooses a run, an experiment or a store; put back, with what MLflow sets itself, after the test."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")] + [
        "MLFLOW_TRACKING_URI",
        "MLFLOW_REGISTRY_URI",
    ]:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def opened(folder: Path) -> Store:
    """Returns the store in `folder`, its tables made by the first who asks for it."""
    folder.mkdir(parents=True, exist_ok=True)
    return open_store(f"sqlite:///{folder / 'mlflow.db'}")
