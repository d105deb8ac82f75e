"""Detectors into the registry, and out of it."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

import tsad
from tsad.detector.detector import DESCRIPTION, Detector
from tsad.errors import DetectorError
from tsad.series import Series
from tsad.tracking.tags import Tag

MODEL = "tsad"
"""Registered model that champions go to, unless named otherwise."""

SAMPLE, SAMPLE_ROWS = "sample.csv", 1000
"""Test rows that are logged beside a detector, so that a page has something to show."""

PYFUNC = Path(__file__).with_name("pyfunc.py")
"""File that MLflow runs to load a detector as a model: models from code, nothing is unpickled."""

_REQUIRED = ("mlflow", "numpy", "pandas", "pyarrow", "pydantic", "pyyaml", "safetensors", "scikit-learn", "torch")
"""Whatever is imported to load a detector and to score with it; a test compares it with the imports."""
_EXAMPLE_ROWS = 5
_VERSION = re.compile(r"models:/(?P<name>[^/@]+)(/(?P<number>\d+)|@(?P<alias>.+))")


@dataclass(frozen=True)
class Version:
    """What the registry knows of one version of a registered model.

    Attributes:
        version: Its number.
        aliases: That point at it.
        created: In ISO 8601, UTC.
        run_id: Of the run that it was logged to; empty if nobody knows.
        metrics: Of that run; none if it was deleted.
        tags: Of the version.
        description: What the registry's page says of it.
    """

    version: str
    aliases: tuple[str, ...]
    created: str
    run_id: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    description: str


@dataclass(frozen=True)
class ModelFolder:
    """A model on this machine's disk.

    Attributes:
        path: What was fetched: a folder that MLflow can load, if `served` says so.
        detector: Folder inside it that `Detector.save` wrote.
        sample: Table of test rows; None if it has none.
        served: Whether MLflow can load it.
    """

    path: Path
    detector: Path
    sample: Path | None
    served: bool


def signature(features: tuple[str, ...]) -> ModelSignature:
    """Returns the columns that a served detector takes and gives, and its parameters at inference."""
    return ModelSignature(
        Schema([ColSpec(DataType.double, name) for name in features]),
        Schema([ColSpec(DataType.double, "score", required=False), ColSpec(DataType.boolean, "flag")]),
        ParamSchema([ParamSpec("threshold", DataType.double, None), ParamSpec("explain", DataType.long, 0)]),
    )


def log_detector(run_id: str, folder: Path, series: Series, tags: dict[str, str]) -> str:
    """Logs the detector saved in `folder` to a run as a model that MLflow can serve, and returns the model's URI.

    Args:
        run_id: The run it belongs to.
        folder: Where `Detector.save` wrote it.
        series: Test rows, for the input example (as many as give five scores) and `sample.csv`.
        tags: Of the logged model.
    """
    scorer = Detector.load(folder).scorer
    example = series.part(0, scorer.lookback + scorer.lookahead + _EXAMPLE_ROWS)
    with tempfile.TemporaryDirectory() as place, mlflow.start_run(run_id=run_id):
        package, sample = Path(place, "tsad"), Path(place, SAMPLE)
        shutil.copytree(Path(tsad.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        sample_of(series).to_csv(sample, index=False)
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(PYFUNC),
            artifacts={"detector": str(folder), "sample": str(sample)},
            code_paths=[str(package)],
            signature=signature(scorer.features),
            input_example=pd.DataFrame(example.values, columns=list(scorer.features), dtype=float),
            pip_requirements=requirements(),
            tags=tags,
        )
    return str(logged.model_uri)


def requirements() -> list[str]:
    """Returns what a served detector needs, pinned to what is installed here, without local labels such as `+cpu`."""
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in _REQUIRED]


def sample_of(series: Series) -> pd.DataFrame:
    """Returns up to `SAMPLE_ROWS` rows in a row, with a first column `time` if they have times.

    They are the first ones; of labeled rows those around the first anomaly, which decides nothing but what is shown.
    """
    middle = 0 if series.labels is None else int(series.labels.argmax())
    start = min(max(0, middle - SAMPLE_ROWS // 2), max(0, len(series) - SAMPLE_ROWS))
    rows = series.part(start, min(len(series), start + SAMPLE_ROWS))
    table = pd.DataFrame(rows.values, columns=list(rows.features))
    if rows.times is not None and "time" not in rows.features:
        table.insert(0, "time", rows.times)
    return table


def register(model_uri: str, name: str, tags: dict[str, str]) -> str:
    """Registers a logged model as the next version of `name`, and returns the version."""
    return str(mlflow.register_model(model_uri, name, tags=tags).version)


def version_of(run_id: str, name: str) -> str | None:
    """Returns the version of `name` that was registered with the tag `tsad.run` of a run, None if there is none."""
    found = MlflowClient().search_model_versions(f"name = '{name}'")
    return next((str(version.version) for version in found if version.tags.get(Tag.RUN) == run_id), None)


def resolve(model: str) -> tuple[str, str]:
    """Returns name and number of the version behind `models:/NAME/VERSION` or `models:/NAME@alias`.

    Raises:
        DetectorError: if it is another kind of URI, or there is no such version.
    """
    found = _VERSION.fullmatch(model)
    if found is None:
        raise DetectorError(f"a registered version is models:/NAME/VERSION or models:/NAME@alias, but got {model}")
    name, number, alias = found["name"], found["number"], found["alias"]
    try:
        client = MlflowClient()
        version = client.get_model_version(name, number) if number else client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        raise DetectorError(f"{model}: cannot be found ({error.message})") from None
    return name, str(version.version)


def versions(name: str, newest: int = 100) -> list[Version]:
    """Returns the versions of a registered model, newest first and at most so many; none if there is no such model."""
    client = MlflowClient()
    found = client.search_model_versions(f"name = '{name}'", max_results=newest, order_by=["version_number DESC"])
    aliases = client.get_registered_model(name).aliases if found else {}
    return [_described(client, each, aliases) for each in found]


def _described(client: MlflowClient, found: ModelVersion, aliases: Mapping[str, object]) -> Version:
    number = str(found.version)
    try:
        metrics = client.get_run(found.run_id).data.metrics if found.run_id else {}
    except MlflowException:  # the run was deleted; the version stands without it
        metrics = {}
    return Version(
        version=number,
        aliases=tuple(sorted(alias for alias, at in aliases.items() if str(at) == number)),
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC).isoformat(),
        run_id=found.run_id or "",
        metrics=metrics,
        tags=dict(found.tags),
        description=found.description or "",
    )


def model_folder(model: str) -> ModelFolder:
    """Returns the folder of `models:/NAME@alias`, `models:/NAME/VERSION`, `runs:/ID/detector`, fetched, or of a folder.

    Raises:
        DetectorError: if there is no such thing, or it holds no detector of ours.
    """
    path = Path(model)
    if "://" in model or model.startswith(("models:/", "runs:/")):
        try:
            path = Path(mlflow.artifacts.download_artifacts(model))
        except (MlflowException, OSError) as error:
            message = error.message if isinstance(error, MlflowException) else str(error)
            raise DetectorError(f"{model}: cannot be fetched ({message})") from None
    artifacts = path / "artifacts"
    sample = artifacts / SAMPLE
    for detector in (path, path / "detector", artifacts / "detector"):
        if (detector / DESCRIPTION).is_file():
            served = (path / "MLmodel").is_file()
            return ModelFolder(path, detector, sample if sample.is_file() else None, served)
    raise DetectorError(
        f"{model}: must hold {DESCRIPTION}, but does not; give a models:/ or runs:/ URI or a saved detector"
    )


def load_detector(model: str) -> Detector:
    """Returns the detector behind what `model_folder` takes; raises `DetectorError` if it is not there, damaged or foreign."""
    return Detector.load(model_folder(model).detector)
