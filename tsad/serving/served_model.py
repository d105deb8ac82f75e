"""The model that the service serves: its detector, MLflow's view of it, and what the registry knows."""

import dataclasses
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PyFuncModel

from tsad.data.io.tables import read_table
from tsad.data.sets.synthetic import SyntheticSpec
from tsad.detector.detector import Detector
from tsad.detector.ensemble import Ensemble
from tsad.detector.scorer import Scorer
from tsad.evaluation.registry import HEADLINES
from tsad.registry.load import ModelFolder, model_folder
from tsad.registry.log import PYFUNC, requirements, signature
from tsad.registry.register import list_versions, resolve
from tsad.thresholds import FittedThreshold
from tsad.thresholds.threshold import Threshold
from tsad.tracking.tags import provenance_tags

SAMPLE, SYNTHETIC = "sample", "synthetic"


@dataclass(frozen=True, eq=False)
class ModelSource:
    """Source of a model.

    Attributes:
        uri: As it was asked for.
        name: Name of the registered model; None for a run's detector or a folder.
        version: Version of the registered model; None for a run's detector or a folder.
        folder: On this machine's disk.
        metrics: Metrics of the run that it was logged to.
    """

    uri: str
    name: str | None
    version: str | None
    folder: ModelFolder
    metrics: Mapping[str, float]


class ServedModel:
    """A model in service; its threshold may be replaced while it is.

    Attributes:
        source: Where it came from.
        pyfunc: What MLflow's scoring server asks; it scores with `detector`.
    """

    def __init__(self, source: ModelSource, pyfunc: PyFuncModel) -> None:
        self.source = source
        self.pyfunc = pyfunc
        self._model = pyfunc.unwrap_python_model()  # type: ignore[no-untyped-call]

    @property
    def detector(self) -> Detector:
        """Detector that scores and flags now."""
        detector: Detector = self._model.detector
        return detector

    def recalibrate(self, threshold: FittedThreshold) -> None:
        """Flags by another threshold from now on."""
        self._model.detector = dataclasses.replace(self.detector, threshold=threshold)

    def card(self) -> dict[str, Any]:
        """Returns what `/api/model` answers."""
        detector, source = self.detector, self.source
        scorer = detector.scorer
        return {
            "name": source.name,
            "version": source.version,
            "uri": source.uri,
            "kind": scorer.kind,
            "features": list(scorer.features),
            "lookback": scorer.lookback,
            "lookahead": scorer.lookahead,
            "threshold": described(detector.threshold),
            "labels_used": provenance_tags(detector.provenance),
            "metrics": dict(source.metrics),
            "headlines": list(HEADLINES),
        }

    def versions(self) -> list[dict[str, Any]]:
        """Returns what `/api/versions` answers: those of the registered model, newest first, without `baseline/`."""
        registered = [] if self.source.name is None else list_versions(self.source.name)
        return [
            {
                "version": version_info.version,
                "aliases": list(version_info.aliases),
                "created": version_info.created,
                "run_id": version_info.run_id,
                "metrics": {
                    name: value for name, value in version_info.metrics.items() if not name.startswith("baseline/")
                },
                "tags": dict(version_info.tags),
            }
            for version_info in registered
        ]

    def series_names(self) -> tuple[str, ...]:
        """Returns the names that `series` knows."""
        return (SYNTHETIC,) if self.source.folder.sample is None else (SAMPLE, SYNTHETIC)

    def series(self, name: str) -> pd.DataFrame:
        """Returns rows to try the model on; a column `time` that is no feature comes first if they have times.

        `sample` is of the model's own test rows; `synthetic` are generated rows under the names of the model's features, in
        the units of its training rows unless it was trained on such rows.

        Raises:
            KeyError: if the model has no series of that name.
        """
        sample = self.source.folder.sample
        if name == SAMPLE and sample is not None:
            return read_table(sample)
        if name != SYNTHETIC:
            raise KeyError(name)
        return _synthetic(self.detector.scorer)


def described(threshold: Threshold) -> dict[str, Any]:
    """Returns how a threshold was fitted and the threshold that a first row meets."""
    return {"method": threshold.method, "value": float(threshold.per_row(np.array([np.nan]))[0])}


def open_model(model: str, folder_beside: Path) -> ServedModel:
    """Returns the model behind `models:/NAME@alias`, `models:/NAME/VERSION`, `runs:/ID/detector`, or a folder.

    Args:
        model: URI or folder of the model.
        folder_beside: Folder for the files that a detector outside the registry needs to be served.

    Raises:
        DetectorError: if there is no such thing, or it is not a detector of ours.
    """
    name, version = resolve(model) if model.startswith("models:/") else (None, None)
    folder = model_folder(model if name is None else f"models:/{name}/{version}")
    path = folder.path if folder.served else _packed(folder.detector, folder_beside / "model")
    metrics = (
        next((version_info.metrics for version_info in list_versions(name) if version_info.version == version), {})
        if name
        else {}
    )
    return ServedModel(ModelSource(model, name, version, folder, metrics), mlflow.pyfunc.load_model(str(path)))


def _packed(detector: Path, target: Path) -> Path:
    """Returns `target`, emptied first, into which the detector was put as MLflow loads it."""
    shutil.rmtree(target, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it has no input example, which would be scored
        mlflow.pyfunc.save_model(
            path=target,
            python_model=str(PYFUNC),
            artifacts={"detector": str(detector)},
            signature=signature(),
            pip_requirements=requirements(),
        )
    return target


def _synthetic(scorer: Scorer | Ensemble) -> pd.DataFrame:
    features = scorer.features
    spec = SyntheticSpec(kind="synthetic", rows=1000, features=max(2, len(features)))
    generated = spec.load(Path()).test
    rows = generated.values.astype(np.float64)[:, : len(features)]  # noqa: PD011 (no table)
    if generated.features[: len(features)] != features:
        scaler = (scorer.members[0].scorer if isinstance(scorer, Ensemble) else scorer).scaler
        rows = rows * scaler.scale + scaler.center
    return pd.DataFrame(rows.round(6), columns=list(features))
