"""Logs detectors to runs as models that MLflow can serve: code and safe files, nothing pickled."""

import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric, Run
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

import tsad
from tsad.detector.detector import Detector
from tsad.registry.load import SAMPLE
from tsad.series import Series
from tsad.tracking.tags import Tag

SAMPLE_ROWS = 1000
"""Largest number of test rows that are logged with a detector as an example for people."""

PYFUNC = Path(__file__).with_name("pyfunc.py")
"""Path of the file that MLflow runs to load a logged detector: a model from code, so nothing is unpickled."""

REQUIRED = ("mlflow", "numpy", "pandas", "pyarrow", "pydantic", "pyyaml", "safetensors", "scikit-learn", "torch")
"""Names of the packages that loading a logged detector and scoring with it import; a test compares them with the imports."""

_EXAMPLE_SCORES = 5
"""Number of rows with a score in the input example of a logged detector."""


def log_detector(run_id: str, folder: Path, series: Series | None, tags: dict[str, str]) -> str:
    """Logs a saved detector to a run as a model that MLflow can serve, and returns the URI of the model.

    The status of the run stays as it is, and no run has to be active. A detector that the run has already as a model is not
    logged again, and an upload that was interrupted is completed under the same id.

    Args:
        run_id: Id of the run that the model belongs to.
        folder: Folder that `Detector.save` wrote.
        series: Test rows for the input example and for `sample.csv`, enough for five scores; None logs neither.
        tags: Tags of the logged model by name.
    """
    detector, client = Detector.load(folder), MlflowClient()
    run = client.get_run(run_id)
    model = _logged_model(client, run, tags | {Tag.DIGEST: detector.digest})
    if model.status != LoggedModelStatus.READY:
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary, "model")
            _write_model(path, detector, folder, series, model)
            client.log_model_artifacts(model.model_id, str(path))
        _link(client, run, model.model_id)
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return str(model.model_uri)


def _write_model(path: Path, detector: Detector, folder: Path, series: Series | None, model: LoggedModel) -> None:
    """Writes the files of a logged model to a new folder."""
    scorer, artifacts, example = detector.scorer, {"detector": str(folder)}, None
    if series is not None:
        sample = path.with_name(SAMPLE)
        sample_of(series).to_csv(sample, index=False)
        artifacts["sample"] = str(sample)
        example = example_of(series, scorer.lookback + scorer.lookahead)
    save_model_from_code(path, model, PYFUNC, artifacts, {"features": list(scorer.features)}, example)


def example_of(series: Series, context: int) -> pd.DataFrame:
    """Returns rows for the input example of a model, enough for five scores if each needs `context` rows around its own."""
    rows = series.part(0, min(len(series), context + _EXAMPLE_SCORES))
    return pd.DataFrame(rows.values, columns=list(rows.features), dtype=float)


def save_model_from_code(
    path: Path,
    model: LoggedModel,
    code: Path,
    artifacts: dict[str, str],
    metadata: dict[str, Any],
    example: pd.DataFrame | None,
) -> None:
    """Writes the files of a logged model: code, artifacts and what MLflow needs to load it; nothing is pickled.

    Args:
        path: Folder of the files, which does not exist yet; a copy of this package is left beside it.
        model: Logged model that the files will belong to.
        code: File that MLflow runs to load the model.
        artifacts: Path of each artifact by the name that the code asks for.
        metadata: Facts about the model for people and programs that do not load it.
        example: Rows of the input example; None for none.
    """
    package = path.with_name("code") / "tsad"
    shutil.copytree(Path(tsad.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    mlflow.pyfunc.save_model(
        path=path,
        mlflow_model=Model(
            artifact_path=model.artifact_location,
            run_id=model.source_run_id,
            model_uuid=model.model_id,
            model_id=model.model_id,
        ),
        python_model=str(code),
        artifacts=artifacts,
        code_paths=[str(package)],
        signature=signature(),
        metadata=metadata,
        input_example=example,
        pip_requirements=requirements(),
    )
    for cache in path.rglob("__pycache__"):  # MLflow imports the code to look at the input example
        shutil.rmtree(cache)


def _link(client: MlflowClient, run: Run, model_id: str) -> None:
    """Links a model to its run as an output and gives it the final metrics of the run, as far as it has not got them before."""
    outputs = run.outputs.model_outputs if run.outputs is not None else []
    if model_id not in {output.model_id for output in outputs}:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step=0)])
    linked = {metric.key for metric in client.get_logged_model(model_id).metrics or []}
    metrics = [
        Metric(metric.key, metric.value, metric.timestamp, metric.step, model_id, run_id=run.info.run_id)
        for metric in run.data._metric_objs
        if metric.step == 0 and metric.key not in linked
    ]
    client.log_batch(run.info.run_id, metrics=metrics)


def _logged_model(client: MlflowClient, run: Run, tags: dict[str, str]) -> LoggedModel:
    """Returns the model of a run that has the digest among the tags, a new one without files if there is none."""
    experiment, run_id = run.info.experiment_id, run.info.run_id
    same = f"source_run_id = '{run_id}' AND tags.`{Tag.DIGEST}` = '{tags[Tag.DIGEST]}'"
    models = client.search_logged_models([experiment], filter_string=same)
    if models:
        return next((model for model in models if model.status == LoggedModelStatus.READY), models[0])
    return client.create_logged_model(experiment, "model", run_id, tags=tags, params=dict(run.data.params))


def signature() -> ModelSignature:
    """Returns the signature of a logged detector: its output columns, and the parameters of a request.

    It declares no inputs. MLflow refuses whole numbers, truth values and columns with integer labels where a signature
    declares numbers, so the detector checks its columns itself; the model's metadata and input example name them.
    """
    return ModelSignature(
        outputs=Schema([ColSpec(DataType.double, "score", required=False), ColSpec(DataType.boolean, "flag")]),
        params=ParamSchema([ParamSpec("threshold", DataType.double, None), ParamSpec("explain", DataType.long, 0)]),
    )


def requirements() -> list[str]:
    """Returns the requirements of a logged detector, pinned to the installed versions without local labels such as `+cpu`."""
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in REQUIRED]


def sample_of(series: Series) -> pd.DataFrame:
    """Returns up to `SAMPLE_ROWS` consecutive rows as a table, with a first column `time` if they have times.

    These are the first rows or, with labels, those around the first anomaly. They are only shown and decide nothing.
    """
    middle = 0 if series.labels is None else int(series.labels.argmax())
    start = min(max(0, middle - SAMPLE_ROWS // 2), max(0, len(series) - SAMPLE_ROWS))
    rows = series.part(start, min(len(series), start + SAMPLE_ROWS))
    table = pd.DataFrame(rows.values, columns=list(rows.features))
    if rows.times is not None and "time" not in rows.features:
        table.insert(0, "time", rows.times)
    return table
