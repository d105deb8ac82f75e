"""Logs detectors to runs as models that MLflow can serve: code and safe files, nothing pickled."""

import shutil
import tempfile
from importlib import metadata
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

import tsad
from tsad.detector.detector import Detector
from tsad.registry.load import SAMPLE
from tsad.series import Series

SAMPLE_ROWS = 1000
"""Largest number of test rows that are logged with a detector as an example for people."""

PYFUNC = Path(__file__).with_name("pyfunc.py")
"""Path of the file that MLflow runs to load a logged detector: a model from code, so nothing is unpickled."""

REQUIRED = ("mlflow", "numpy", "pandas", "pyarrow", "pydantic", "pyyaml", "safetensors", "scikit-learn", "torch")
"""Names of the packages that loading a logged detector and scoring with it import; a test compares them with the imports."""

_EXAMPLE_SCORES = 5
"""Number of rows with a score in the input example of a logged detector."""


def log_detector(run_id: str, folder: Path, series: Series, tags: dict[str, str]) -> str:
    """Logs a saved detector to a run as a model that MLflow can serve, and returns the URI of the model.

    Args:
        run_id: Id of the run that the model belongs to.
        folder: Folder that `Detector.save` wrote.
        series: Test rows for the input example and for `sample.csv`; enough for five scores.
        tags: Tags of the logged model by name.
    """
    scorer = Detector.load(folder).scorer
    example = series.part(0, scorer.lookback + scorer.lookahead + _EXAMPLE_SCORES)
    with tempfile.TemporaryDirectory() as temporary, mlflow.start_run(run_id=run_id):
        package, sample = Path(temporary, "tsad"), Path(temporary, SAMPLE)
        shutil.copytree(Path(tsad.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        sample_of(series).to_csv(sample, index=False)
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(PYFUNC),
            artifacts={"detector": str(folder), "sample": str(sample)},
            code_paths=[str(package)],
            signature=signature(),
            metadata={"features": list(scorer.features)},
            input_example=pd.DataFrame(example.values, columns=list(scorer.features), dtype=float),
            pip_requirements=requirements(),
            tags=tags,
        )
    return str(logged.model_uri)


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
