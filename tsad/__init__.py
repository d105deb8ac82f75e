"""Find, prove and serve anomaly detectors for multivariate time series.

The program is one sentence: a `Series` is cut into `Windows`; a model gives a `Prediction` of each; its error becomes a score
per row; a `Threshold` turns scores into flags; flags and labels give a `Report`.

Names are imported when they are first used, so `import tsad` loads neither PyTorch nor MLflow nor Ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsad.config import ExperimentConfig
    from tsad.detector.detector import Detector
    from tsad.errors import DataError, DetectorError, SpecError, TrainingError, TsadError
    from tsad.fleet import Fleet
    from tsad.outlier_detector import OutlierDetector
    from tsad.parallel import TaskOptions
    from tsad.series import Series
    from tsad.streaming import Stream
    from tsad.training.checkpoints import Backup
    from tsad.tuning.spec import SearchConfig
    from tsad.workflows.check import check
    from tsad.workflows.context import load_detector, load_fleet
    from tsad.workflows.download import download
    from tsad.workflows.drift import measure_drift
    from tsad.workflows.evaluate import evaluate, evaluate_scores
    from tsad.workflows.fleet import train_each_entity
    from tsad.workflows.fleet_training import FleetOptions
    from tsad.workflows.generate import generate_dataset
    from tsad.workflows.plot import plot
    from tsad.workflows.promote import promote, undo_promotion
    from tsad.workflows.recalibrate import recalibrate
    from tsad.workflows.score import score
    from tsad.workflows.score_files import FilesOptions, score_files
    from tsad.workflows.search import search
    from tsad.workflows.serve import serve
    from tsad.workflows.tidy import tidy_runs
    from tsad.workflows.train import train

    __version__: str

_MODULES = {
    "Backup": "training.checkpoints",
    "DataError": "errors",
    "Detector": "detector.detector",
    "DetectorError": "errors",
    "ExperimentConfig": "config",
    "FilesOptions": "workflows.score_files",
    "Fleet": "fleet",
    "FleetOptions": "workflows.fleet_training",
    "OutlierDetector": "outlier_detector",
    "SearchConfig": "tuning.spec",
    "Series": "series",
    "SpecError": "errors",
    "Stream": "streaming",
    "TaskOptions": "parallel",
    "TrainingError": "errors",
    "TsadError": "errors",
    "check": "workflows.check",
    "download": "workflows.download",
    "evaluate": "workflows.evaluate",
    "evaluate_scores": "workflows.evaluate",
    "generate_dataset": "workflows.generate",
    "load_detector": "workflows.context",
    "load_fleet": "workflows.context",
    "measure_drift": "workflows.drift",
    "plot": "workflows.plot",
    "promote": "workflows.promote",
    "recalibrate": "workflows.recalibrate",
    "score": "workflows.score",
    "score_files": "workflows.score_files",
    "search": "workflows.search",
    "serve": "workflows.serve",
    "tidy_runs": "workflows.tidy",
    "train": "workflows.train",
    "train_each_entity": "workflows.fleet",
    "undo_promotion": "workflows.promote",
}
"""Module below `tsad` that defines each public name."""

_EXTRAS = {"mlflow": "tracking", "optuna": "search", "ray": "search", "fastapi": "serve", "uvicorn": "serve"}
"""Extra that installs a package which a public name may need."""

__all__ = [
    "Backup",
    "DataError",
    "Detector",
    "DetectorError",
    "ExperimentConfig",
    "FilesOptions",
    "Fleet",
    "FleetOptions",
    "OutlierDetector",
    "SearchConfig",
    "Series",
    "SpecError",
    "Stream",
    "TaskOptions",
    "TrainingError",
    "TsadError",
    "__version__",
    "check",
    "download",
    "evaluate",
    "evaluate_scores",
    "generate_dataset",
    "load_detector",
    "load_fleet",
    "measure_drift",
    "plot",
    "promote",
    "recalibrate",
    "score",
    "score_files",
    "search",
    "serve",
    "tidy_runs",
    "train",
    "train_each_entity",
    "undo_promotion",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("tsad")
    if name not in _MODULES:
        raise AttributeError(f"module 'tsad' has no attribute {name!r}")
    try:
        value = getattr(import_module(f"tsad.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in _EXTRAS:
            raise
        extra = _EXTRAS[package]
        raise ModuleNotFoundError(
            f"tsad.{name} needs {package}, which is not installed: pip install 'tsad[{extra}]'", name=package
        ) from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Returns the public names."""
    return sorted(__all__)
