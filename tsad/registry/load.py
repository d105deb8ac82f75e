"""Loads detectors from the registry, from a run, or from a folder. MLflow is imported only for URIs."""

from dataclasses import dataclass
from pathlib import Path

from tsad.detector.detector import DESCRIPTION, Detector
from tsad.errors import DetectorError
from tsad.fleet import MANIFEST, Fleet

SAMPLE = "sample.csv"
"""Name of the table of test rows that is logged with a detector."""


ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""Codes of a registry that answers that there is no such thing."""


class RegistryAwayError(DetectorError):
    """The registry or its files cannot be reached, so that nobody knows whether there is such a model."""


@dataclass(frozen=True)
class ModelFolder:
    """A model on the disk of this machine.

    Attributes:
        path: Folder that was fetched or named; MLflow can load it if `served` is true.
        detector: Folder inside `path` that `Detector.save` wrote; of a fleet that which `Fleet.load` takes.
        sample: Path of the table of test rows; None if there is none.
        served: Whether MLflow can load `path` as a model.
        is_fleet: Whether it is a fleet.
    """

    path: Path
    detector: Path
    sample: Path | None
    served: bool
    is_fleet: bool = False


def load_detector(model: str) -> Detector:
    """Returns the detector of a model, as `model_folder` locates it.

    Raises:
        DetectorError: if there is no such model, or its detector is damaged or was written by another program.
    """
    return Detector.load(model_folder(model).detector)


def load_judge(model: str) -> Detector | Fleet:
    """Returns the detector or the fleet of a model; errors as for `load_detector`."""
    folder = any_model_folder(model)
    return Fleet.load(folder.detector) if folder.is_fleet else Detector.load(folder.detector)


def model_folder(model: str, target: Path | None = None) -> ModelFolder:
    """Returns the folder of a model with one detector; models behind a URI are downloaded.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `runs:/RUN_ID/detector`, or the path of a folder.
        target: Existing folder that a model behind a URI is copied to; None for where MLflow keeps it.

    Raises:
        DetectorError: if there is no such model, it is a fleet, or it holds no detector.
    """
    folder = any_model_folder(model, target)
    if folder.is_fleet:
        raise DetectorError(
            f"{model}: one detector is needed here, but this is a fleet of {len(Fleet.load(folder.detector))}; give the folder "
            f"of one of them below {folder.detector}"
        )
    return folder


def any_model_folder(model: str, target: Path | None = None) -> ModelFolder:
    """Returns the folder of a model, be it one detector or a fleet; arguments and errors as for `model_folder`."""
    path = _downloaded(model, target) if _is_uri(model) else Path(model)
    artifacts = path / "artifacts"
    sample = artifacts / SAMPLE
    rest = sample if sample.is_file() else None, (path / "MLmodel").is_file()
    for detector in (path, path / "detector", artifacts / "detector"):
        if (detector / DESCRIPTION).is_file():
            return ModelFolder(path, detector, *rest)
    if (fleet := _fleet_in(path)) is not None:
        return ModelFolder(path, fleet, *rest, is_fleet=True)
    raise DetectorError(
        f"{model}: must hold {DESCRIPTION}, but does not; give a models:/ or runs:/ URI or a saved detector"
    )


def fleet_folder(model: str) -> Path | None:
    """Returns the folder that `Fleet.load` takes; None if the model is a single detector or none at all.

    Args:
        model: URI or path as for `model_folder`; models behind a URI are downloaded.

    Raises:
        DetectorError: if there is no such model.
    """
    return _fleet_in(_downloaded(model, None) if _is_uri(model) else Path(model))


def _fleet_in(path: Path) -> Path | None:
    folders = (path, path / "fleet", path / "artifacts" / "fleet")
    return next((folder for folder in folders if (folder / MANIFEST).is_file()), None)


def _is_uri(model: str) -> bool:
    return "://" in model or model.startswith(("models:/", "runs:/"))


def _downloaded(uri: str, target: Path | None) -> Path:
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=None if target is None else str(target)))
    except (MlflowException, OSError) as error:
        message = error.message if isinstance(error, MlflowException) else str(error)
        absent = isinstance(error, MlflowException) and error.error_code in ABSENT
        kind = DetectorError if absent else RegistryAwayError
        raise kind(
            f"{uri}: cannot be {'found' if absent else 'fetched'} ({message}); check the name, and TSAD_TRACKING_URI"
        ) from None
