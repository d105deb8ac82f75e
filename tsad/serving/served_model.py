"""The model that the service serves: its detector, MLflow's view of it, and what the registry knows."""

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

from tsad.data.io.answers import text_of
from tsad.data.io.read_options import READ_OPTIONS, ReadOptions
from tsad.data.io.tables import read_table
from tsad.data.sets.synthetic import SyntheticSpec
from tsad.detector.detector import Detector
from tsad.detector.ensemble import Ensemble
from tsad.detector.loaded import LoadedDetectors
from tsad.detector.scorer import Scorer
from tsad.errors import DetectorError, TsadError, shown
from tsad.evaluation.registry import HEADLINES
from tsad.fleet import Fleet
from tsad.registry.fleet_log import FLEET_MODEL, FLEET_PYFUNC
from tsad.registry.load import ModelFolder, any_model_folder
from tsad.registry.log import PYFUNC, requirements, signature
from tsad.registry.register import Version, list_versions, resolve
from tsad.serving.foreign_code import check_code
from tsad.serving.model_detectors import ONLY, CalibratedDetector, FleetDetectors, ModelDetectors, OneDetector
from tsad.serving.version_cache import VersionCache
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
    """A model in service: one detector or a fleet; the threshold of a detector may be replaced while it is.

    Attributes:
        source: Where it came from.
        pyfunc: What MLflow's scoring server asks; it scores with `detectors`.
        registry: Versions of the registered model, as they were when the model was opened until somebody asks.
        detectors: Detectors that score and flag.
    """

    def __init__(
        self,
        source: ModelSource,
        pyfunc: PyFuncModel,
        registered: Sequence[Version] = (),
        loaded: LoadedDetectors | None = None,
    ) -> None:
        self.source = source
        self.pyfunc = pyfunc
        name, folder = source.name, source.folder
        self.registry = VersionCache((lambda: list_versions(name)) if name else tuple, registered)
        model = pyfunc.unwrap_python_model()  # type: ignore[no-untyped-call]
        column = None if self.read_options is None else self.read_options.entity
        self.detectors: ModelDetectors = (
            FleetDetectors(model, loaded) if folder.is_fleet else OneDetector(model, folder.detector, column, loaded)
        )

    @property
    def detector(self) -> Detector:
        """The only detector, as it flags now; raises `RequestError` if the model is a fleet."""
        return self.detectors.of(None)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features of all detectors."""
        return self.detectors.features

    @cached_property
    def read_options(self) -> ReadOptions | None:
        """Reading of the training rows; None if they came from no file."""
        folder = self.source.folder.detector
        return ReadOptions.load(folder) if (folder / READ_OPTIONS).exists() else None

    def calibrated(self, key: str = ONLY) -> CalibratedDetector:
        """Returns the detector of a key as something whose threshold may be replaced."""
        return self.detectors.calibrated(key, self.source.uri)

    def card(self, entity: str | None = None) -> dict[str, Any]:
        """Returns what `/api/model` answers: of a fleet its entities and, if one is named, the detector of that."""
        detectors, source = self.detectors, self.source
        card = {
            "name": source.name,
            "version": source.version,
            "uri": source.uri,
            "kind": detectors.kind,
            "features": list(detectors.features),
            "metrics": dict(source.metrics),
            "headlines": list(HEADLINES),
            "entity_column": detectors.column,
            "entities": None if detectors.entities is None else list(detectors.entities),
            "shared": isinstance(detectors, FleetDetectors) and detectors.fleet.manifest.shared is not None,
        }
        if detectors.is_fleet and entity is None:
            return card  # its detectors have nothing else in common
        detector = detectors.of(entity)
        own = {"entity": entity, "detector": detector.scorer.kind} if detectors.is_fleet else {}
        return card | own | _described_detector(detector)

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
        return _synthetic(self.detectors.of(self.example_entity).scorer)

    @property
    def example_entity(self) -> str | None:
        """Entity whose rows the series are; None if the model is no fleet."""
        detectors, sample = self.detectors, self.source.folder.sample
        if detectors.entities is None:
            return None
        first = None if sample is None else read_table(sample).get(detectors.column)
        return detectors.entities[0] if first is None or not len(first) else text_of(first.iloc[0])


def _described_detector(detector: Detector) -> dict[str, Any]:
    scorer = detector.scorer
    return {
        "lookback": scorer.lookback,
        "lookahead": scorer.lookahead,
        "threshold": described(detector.threshold),
        "labels_used": provenance_tags(detector.provenance),
    }


def described(threshold: Threshold) -> dict[str, Any]:
    """Returns how a threshold was fitted and the threshold that a first row meets."""
    return {"method": threshold.method, "value": float(threshold.per_row(np.array([np.nan]))[0])}


def open_model(
    model: str, folder_beside: Path, *, trust: bool = False, loaded: LoadedDetectors | None = None
) -> ServedModel:
    """Returns the model behind `models:/NAME@alias`, `models:/NAME/VERSION`, `runs:/ID/detector`, or a folder; a fleet too.

    Its detectors are read by the installed code. No code of the model runs, unless it is trusted.

    Args:
        model: URI or folder of the model.
        folder_beside: Folder for the files that a detector needs to be served by MLflow's scoring server.
        trust: Run the code that is stored in the model in place of the installed one, as `mlflow models serve` does.
        loaded: Detectors in memory, among which those of the model make room for others; None for the model alone.

    Raises:
        DetectorError: if there is no such thing, it is not a detector of ours, or its code would have to be trusted.
    """
    name, version = resolve(model) if model.startswith("models:/") else (None, None)
    folder = any_model_folder(model if name is None else f"models:/{name}/{version}")
    registered = list_versions(name) if name else []
    metrics = next((version_info.metrics for version_info in registered if version_info.version == version), {})
    source = ModelSource(model, name, version, folder, metrics)
    return open_source(source, folder_beside, registered, trust=trust, loaded=loaded)


def open_source(
    source: ModelSource,
    folder_beside: Path,
    registered: Sequence[Version] = (),
    *,
    trust: bool = False,
    loaded: LoadedDetectors | None = None,
) -> ServedModel:
    """Returns a model that is on this machine's disk, as `open_model` does.

    Args:
        source: Source of the model.
        folder_beside: Folder for the files that a detector needs to be served by MLflow's scoring server.
        registered: Versions of the registered model, as they were when somebody last looked.
        trust: Run the code that is stored in the model in place of the installed one.
        loaded: Detectors in memory, among which those of the model make room for others; None for the model alone.
    """
    folder = source.folder
    if folder.served:
        check_code(folder.path, source.uri, trust=trust)
    is_own_code = not (trust and folder.served)
    path = _packed(folder, folder_beside / "model") if is_own_code else folder.path
    pyfunc = _loaded(path, source.uri, Fleet if folder.is_fleet else Detector)
    return ServedModel(source, pyfunc, registered, loaded if is_own_code else None)


def _loaded(path: Path, uri: str, kind: type[Detector] | type[Fleet]) -> PyFuncModel:
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
    attribute = kind.__name__.lower()
    judge = getattr(python_model, attribute, None)
    if not isinstance(judge, kind):
        raise DetectorError(
            f"{uri}: its code must have a tsad {kind.__name__} as `{attribute}`, but has {shown(judge)}"
        )
    return pyfunc


def _packed(folder: ModelFolder, target: Path) -> Path:
    """Returns `target`, emptied first, into which the detector or fleet was put as MLflow loads it."""
    code, name = (FLEET_PYFUNC, FLEET_MODEL) if folder.is_fleet else (PYFUNC, "detector")
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target, ignore_errors=True)
    else:
        target.unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it has no input example, which would be scored
        mlflow.pyfunc.save_model(
            path=target,
            python_model=str(code),
            artifacts={name: str(folder.detector)},
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
