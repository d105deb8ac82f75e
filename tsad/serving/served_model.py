"""The model that the service serves: its detector, MLflow's view of it, and what the registry knows."""

import dataclasses
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PyFuncModel

from tsad.data.io.read_options import READ_OPTIONS, ReadOptions
from tsad.data.io.tables import read_table
from tsad.data.sets.synthetic import SyntheticSpec
from tsad.detector.detector import Detector
from tsad.detector.ensemble import Ensemble
from tsad.detector.scorer import Scorer
from tsad.errors import DetectorError, TsadError, shown
from tsad.evaluation.registry import HEADLINES
from tsad.registry.load import ModelFolder, model_folder
from tsad.registry.log import PYFUNC, requirements, signature
from tsad.registry.register import Version, list_versions, resolve
from tsad.serving.foreign_code import check_code
from tsad.serving.version_cache import VersionCache
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
        registry: Versions of the registered model, as they were when the model was opened until somebody asks.
    """

    def __init__(self, source: ModelSource, pyfunc: PyFuncModel, registered: Sequence[Version] = ()) -> None:
        self.source = source
        self.pyfunc = pyfunc
        name = source.name
        self.registry = VersionCache((lambda: list_versions(name)) if name else tuple, registered)
        self._model = pyfunc.unwrap_python_model()  # type: ignore[no-untyped-call]

    @property
    def detector(self) -> Detector:
        """Detector that scores and flags now."""
        detector: Detector = self._model.detector
        return detector

    @cached_property
    def read_options(self) -> ReadOptions | None:
        """Reading of the training rows; None if they came from no file."""
        folder = self.source.folder.detector
        return ReadOptions.load(folder) if (folder / READ_OPTIONS).exists() else None

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

    def versions(self) -> tuple[list[dict[str, Any]], int]:
        """Returns what `/api/versions` answers, and its age in seconds; 0 for what the registry has just said.

        They are those of the registered model, newest first, without the metrics of baselines.
        """
        registered, age = self.registry.read()
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
        ], age

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


def open_model(model: str, folder_beside: Path, *, trust: bool = False) -> ServedModel:
    """Returns the model behind `models:/NAME@alias`, `models:/NAME/VERSION`, `runs:/ID/detector`, or a folder.

    Its detector is read by the installed code. No code of the model runs, unless it is trusted.

    Args:
        model: URI or folder of the model.
        folder_beside: Folder for the files that a detector needs to be served by MLflow's scoring server.
        trust: Run the code that is stored in the model in place of the installed one, as `mlflow models serve` does.

    Raises:
        DetectorError: if there is no such thing, it is not a detector of ours, or its code would have to be trusted.
    """
    name, version = resolve(model) if model.startswith("models:/") else (None, None)
    folder = model_folder(model if name is None else f"models:/{name}/{version}")
    registered = list_versions(name) if name else []
    metrics = next((version_info.metrics for version_info in registered if version_info.version == version), {})
    return open_source(ModelSource(model, name, version, folder, metrics), folder_beside, registered, trust=trust)


def open_source(
    source: ModelSource, folder_beside: Path, registered: Sequence[Version] = (), *, trust: bool = False
) -> ServedModel:
    """Returns a model that is on this machine's disk, as `open_model` does.

    Args:
        source: Source of the model.
        folder_beside: Folder for the files that a detector needs to be served by MLflow's scoring server.
        registered: Versions of the registered model, as they were when somebody last looked.
        trust: Run the code that is stored in the model in place of the installed one.
    """
    folder = source.folder
    if folder.served:
        check_code(folder.path, source.uri, trust=trust)
    is_own_code = not (trust and folder.served)
    path = _packed(folder.detector, folder_beside / "model") if is_own_code else folder.path
    return ServedModel(source, _loaded(path, source.uri), registered)


def _loaded(path: Path, uri: str) -> PyFuncModel:
    """Returns MLflow's view of a model; raises `DetectorError` if its code fails, or has no detector for the service."""
    try:
        pyfunc: PyFuncModel = mlflow.pyfunc.load_model(str(path))
        python_model = pyfunc.unwrap_python_model()  # type: ignore[no-untyped-call]
    except TsadError:
        raise
    except Exception as error:  # whatever foreign code raises
        raise DetectorError(
            f"{uri}: its code must load a detector, but failed with {shown(str(error), 200)}"
        ) from error
    detector = getattr(python_model, "detector", None)
    if not isinstance(detector, Detector):
        raise DetectorError(f"{uri}: its code must have a tsad Detector as `detector`, but has {shown(detector)}")
    return pyfunc


def _packed(detector: Path, target: Path) -> Path:
    """Returns `target`, emptied first, into which the detector was put as MLflow loads it."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target, ignore_errors=True)
    else:
        target.unlink(missing_ok=True)
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
        rows = np.stack(
            [column.round(_decimals(unit)) for column, unit in zip(rows.T, scaler.scale, strict=True)], axis=1
        )
        return pd.DataFrame(rows, columns=list(features))
    return pd.DataFrame(rows.round(6), columns=list(features))


def _decimals(unit: float) -> int:
    """Returns the decimals that values are shown with: six, or more for features that vary by less than a thousandth."""
    return max(6, 3 - int(np.floor(np.log10(unit))))
