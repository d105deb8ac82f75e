"""The runner of `tsad search` for the service: its command and environment, tracked where the service is itself."""

import os
import sys
from pathlib import Path

from tsad.serving.jobs import SPACE, JobRunner, ProgressReader


def search_runner(tracking_uri: str, data_dir: Path, read_progress: ProgressReader) -> JobRunner:
    """Returns what runs `tsad search`, tracked where the service is."""
    return JobRunner((sys.executable, "-m", "tsad", "search", SPACE), _variables(tracking_uri, data_dir), read_progress)


def _variables(tracking_uri: str, data_dir: Path) -> dict[str, str]:
    """Returns the environment of this process without the service's own settings, its token among them."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TSAD_", "MLFLOW_RUN", "MLFLOW_EXPERIMENT"))
    }
    registry_uri = inherited.get("MLFLOW_REGISTRY_URI")  # of this process, whose working folder is another one
    return (
        inherited
        | ({} if registry_uri is None else {"MLFLOW_REGISTRY_URI": _absolute(registry_uri)})
        | {
            "MLFLOW_TRACKING_URI": _absolute(tracking_uri),
            "TSAD_DATA_DIR": str(data_dir),
            "OMP_WAIT_POLICY": "PASSIVE",
        }
    )


def _absolute(tracking_uri: str) -> str:
    """Returns the URI of a SQLite file by its absolute path, any other as it is."""
    path = tracking_uri.removeprefix("sqlite:///")
    return tracking_uri if path == tracking_uri else f"sqlite:///{Path(path).resolve()}"
