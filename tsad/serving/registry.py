"""Detectors into the registry, and out of it."""

import shutil
import tempfile
from importlib import metadata
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

import tsad
from tsad.detector import DESCRIPTION, Detector
from tsad.errors import DetectorError
from tsad.series import Series

MODEL = "tsad"
"""Registered model that champions go to, unless named otherwise."""

_REQUIRED = ("mlflow", "numpy", "pandas", "pyarrow", "pydantic", "pyyaml", "safetensors", "scikit-learn", "torch")
_EXAMPLE_ROWS = 5


def log_detector(run_id: str, folder: Path, series: Series, tags: dict[str, str]) -> str:
    """Logs the detector saved in `folder` to a run as a model that MLflow can serve, and returns the model's URI.

    Args:
        run_id: The run it belongs to.
        folder: Where `Detector.save` wrote it.
        series: Rows to take the input example from: as many as give five scores.
        tags: Of the logged model.
    """
    detector = Detector.load(folder)
    scorer = detector.scorer
    example = series.part(0, scorer.rows_before + scorer.rows_after + _EXAMPLE_ROWS)
    inputs = Schema([ColSpec(DataType.double, name) for name in scorer.features])
    outputs = Schema([ColSpec(DataType.double, "score", required=False), ColSpec(DataType.boolean, "flag")])
    with tempfile.TemporaryDirectory() as code, mlflow.start_run(run_id=run_id):
        package = Path(code, "tsad")
        shutil.copytree(Path(tsad.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("served_detector.py")),
            artifacts={"detector": str(folder)},
            code_paths=[str(package)],
            signature=ModelSignature(inputs, outputs),
            input_example=pd.DataFrame(example.values, columns=list(scorer.features), dtype=float),
            pip_requirements=[f"{name}=={metadata.version(name).partition('+')[0]}" for name in _REQUIRED],
            tags=tags,
        )
    return str(logged.model_uri)


def register(model_uri: str, name: str, alias: str, tags: dict[str, str]) -> str:
    """Registers a logged model as the next version of `name`, points `alias` at it, and returns the version."""
    version = str(mlflow.register_model(model_uri, name, tags=tags).version)
    MlflowClient().set_registered_model_alias(name, alias, version)
    return version


def version_of(run_id: str, name: str) -> str | None:
    """Returns the version of `name` that was registered with the tag `run` of a run, None if there is none."""
    found = MlflowClient().search_model_versions(f"name = '{name}'")
    return next((str(version.version) for version in found if version.tags.get("run") == run_id), None)


def load_detector(model: str) -> Detector:
    """Returns the detector behind `models:/NAME@alias`, `models:/NAME/VERSION`, `runs:/ID/detector`, or a folder.

    Raises:
        DetectorError: if there is no such thing, or it is not a detector of ours.
    """
    folder = Path(model)
    if "://" in model or model.startswith(("models:/", "runs:/")):
        try:
            folder = Path(mlflow.artifacts.download_artifacts(model))
        except (MlflowException, OSError) as error:
            message = error.message if isinstance(error, MlflowException) else str(error)
            raise DetectorError(f"{model}: cannot be fetched ({message})") from None
    for place in (folder, folder / "detector", folder / "artifacts" / "detector"):
        if (place / DESCRIPTION).is_file():
            return Detector.load(place)
    raise DetectorError(
        f"{model}: must hold {DESCRIPTION}, but does not; give a models:/ or runs:/ URI or a saved detector"
    )
