"""Logs fleets to runs as models that MLflow can serve and register as one version: code and safe files, nothing pickled."""

import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus

from tsad.fleet import Fleet
from tsad.registry.load import SAMPLE
from tsad.registry.log import example_of, sample_of, save_model_from_code
from tsad.series import Series

FLEET_MODEL = "fleet"
"""Name of the logged model, and of the artifact of it that is the folder of the fleet."""

FLEET_PYFUNC = Path(__file__).with_name("fleet_pyfunc.py")
"""Path of the file that MLflow runs to load a logged fleet."""


def log_fleet(run_id: str, fleet: Fleet, series: Series, entity: str, tags: dict[str, str]) -> str:
    """Logs a saved fleet to a run as a model that MLflow can serve, and returns the URI of the model.

    The status of the run stays as it is. The signature declares no inputs, as that of a single detector.

    Args:
        run_id: Id of the run that the model belongs to.
        fleet: Saved fleet.
        series: Test rows of an entity, for the input example and `sample.csv`.
        entity: Name of that entity.
        tags: Tags of the logged model by name.
    """
    client = MlflowClient()
    run = client.get_run(run_id)
    model = client.create_logged_model(
        run.info.experiment_id, FLEET_MODEL, run_id, tags=tags, params=dict(run.data.params)
    )
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "model")
        _write_model(path, fleet, (series, entity), model)
        client.log_model_artifacts(model.model_id, str(path))
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return str(model.model_uri)


def _write_model(path: Path, fleet: Fleet, example: tuple[Series, str], model: LoggedModel) -> None:
    """Writes the files of a logged model to a new folder."""
    series, entity = example
    scorer, sample = fleet.detector(entity).scorer, path.with_name(SAMPLE)
    table, request = sample_of(series), example_of(series, scorer.lookback + scorer.lookahead)
    for rows in (table, request):
        if fleet.manifest.column not in rows:
            rows.insert(0, fleet.manifest.column, entity)
    table.to_csv(sample, index=False)
    artifacts = {FLEET_MODEL: str(fleet.folder), "sample": str(sample)}
    metadata = {"features": list(fleet.features), "column": fleet.manifest.column, "entities": len(fleet)}
    save_model_from_code(path, model, FLEET_PYFUNC, artifacts, metadata, request)
