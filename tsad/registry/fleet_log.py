"""Logs fleets to runs as models that MLflow can serve and register as one version: code and safe files, nothing pickled."""

import shutil
import tempfile
from pathlib import Path

import mlflow
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType

import tsad
from tsad.fleet import Fleet
from tsad.registry.load import SAMPLE
from tsad.registry.log import requirements, sample_of
from tsad.series import Series

FLEET_MODEL = "fleet"
"""Name of the logged model, and of the artifact of it that is the folder of the fleet."""

FLEET_PYFUNC = Path(__file__).with_name("fleet_pyfunc.py")
"""Path of the file that MLflow runs to load a logged fleet."""


def log_fleet(run_id: str, fleet: Fleet, series: Series, entity: str, tags: dict[str, str]) -> str:
    """Logs a saved fleet to a run as a model that MLflow can serve, and returns the URI of the model.

    Args:
        run_id: Id of the run that the model belongs to.
        fleet: Saved fleet.
        series: Test rows of an entity, for `sample.csv`.
        entity: Name of that entity.
        tags: Tags of the logged model by name.
    """
    with tempfile.TemporaryDirectory() as temporary, mlflow.start_run(run_id=run_id):
        package, sample = Path(temporary, "tsad"), Path(temporary, SAMPLE)
        shutil.copytree(Path(tsad.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        table = sample_of(series)
        if fleet.manifest.column not in table:
            table.insert(0, fleet.manifest.column, entity)
        table.to_csv(sample, index=False)
        logged = mlflow.pyfunc.log_model(
            name=FLEET_MODEL,
            python_model=str(FLEET_PYFUNC),
            artifacts={FLEET_MODEL: str(fleet.folder), "sample": str(sample)},
            code_paths=[str(package)],
            signature=fleet_signature(fleet),
            pip_requirements=requirements(),
            tags=tags,
        )
    return str(logged.model_uri)


def fleet_signature(fleet: Fleet) -> ModelSignature:
    """Returns the signature of a logged fleet: the column of entities, of any type, and the features; score and flag."""
    entity = ColSpec(AnyType(), fleet.manifest.column)  # type: ignore[no-untyped-call]
    return ModelSignature(
        Schema([entity, *(ColSpec(DataType.double, name) for name in fleet.features)]),
        Schema([ColSpec(DataType.double, "score", required=False), ColSpec(DataType.boolean, "flag")]),
        ParamSchema([ParamSpec("threshold", DataType.double, None), ParamSpec("explain", DataType.long, 0)]),
    )
