"""The context of a workflow: settings, tracking store, data cache; and the set-up of a process by the command line."""

import logging
import os
from dataclasses import dataclass
from functools import cached_property
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import ValidationError

from tsad.data import DataSpec
from tsad.data.cache import Cache
from tsad.data.dataset import DataSet
from tsad.detector.detector import Detector
from tsad.errors import DetectorError, SpecError
from tsad.fleet import Fleet
from tsad.registry.load import fleet_folder, model_folder
from tsad.settings import Settings

if TYPE_CHECKING:
    from tsad.tracking.store import Store


@dataclass(frozen=True, eq=False)
class Context:
    """Settings of a workflow and what follows from them.

    Attributes:
        settings: Settings of the environment and of `.env`.
    """

    settings: Settings

    @cached_property
    def store(self) -> "Store":
        """Tracking store and model registry, opened by the first use."""
        from tsad.tracking.store import open_store  # loads MLflow, which scoring a saved detector does not need

        return open_store(self.settings.tracking_uri)

    @property
    def device(self) -> str:
        """Device that models run on: "cuda" or "cpu"."""
        if self.settings.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        return self.settings.device

    @property
    def cache(self) -> Cache:
        """Cache of loaded data."""
        return Cache(self.settings.cache_dir or self.settings.output_dir / "cache", self.settings.cache_size)

    def load_data(self, spec: DataSpec) -> DataSet:
        """Returns the data that a config describes, from the cache if it was loaded before."""
        return self.cache.load(spec, self.settings.data_dir)

    def detector_folder(self, model: str | Path) -> Path:
        """Returns the folder of a model's detector; for a URI the tracking store is opened and the files are downloaded.

        Raises:
            DetectorError: if there is no such model.
        """
        if not Path(model).is_dir():
            self.store  # noqa: B018 (opens the store that MLflow's own functions then use)
        return model_folder(str(model)).detector

    def fleet(self, model: str | Path) -> Fleet | None:
        """Returns the fleet of a model, None if it is a single detector; raises `DetectorError` if there is no such model."""
        if not Path(model).is_dir():
            self.store  # noqa: B018 (opens the store that MLflow's own functions then use)
        folder = fleet_folder(str(model))
        return None if folder is None else Fleet.load(folder)


def load_fleet(model: str | Path) -> Fleet:
    """Returns the fleet of a model, whose `detector` is that of an entity.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `runs:/RUN_ID/fleet`, or the folder of a saved fleet.

    Raises:
        DetectorError: if there is no such model, it is no fleet, or it is damaged.

    Example:
        >>> import tsad
        >>> tsad.load_fleet("models:/pumps@champion").detector("pump-7").scorer.features  # doctest: +SKIP
        ('cpu', 'memory')
    """
    fleet = open_context().fleet(model)
    if fleet is None:
        raise DetectorError(f"{model}: must be a fleet, but is none; load it with load_detector")
    return fleet


def load_detector(model: str | Path) -> Detector:
    """Returns the detector of a model.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `runs:/RUN_ID/detector`, or the folder of a saved detector.

    Raises:
        DetectorError: if there is no such model, or its detector is damaged or was written by another program.

    Example:
        >>> import tsad
        >>> tsad.load_detector("models:/tsad@champion").scorer.features  # doctest: +SKIP
        ('cpu', 'memory')
    """
    return Detector.load(open_context().detector_folder(model))


def read_settings() -> Settings:
    """Returns the settings of the environment and of `.env`; raises `SpecError` naming each that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"TSAD_{item['loc'][0]}".upper() + f": {item['msg']}" for item in error.errors())
        raise SpecError(f"settings of the environment or .env: {wrong}") from None


def open_context() -> Context:
    """Returns the context of the present settings; nothing is written and no store is opened yet."""
    return Context(read_settings())


_LOG_BYTES, _LOG_FILES = 10_000_000, 3


class _LogFile(RotatingFileHandler):
    """Log file that is made, with its folder, by the first message: a command that fails at once leaves nothing behind.

    A service that runs for months does not fill the disk: of 10 MB each, the present file and the three before it stay.
    """

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()


def configure() -> Settings:
    """Sets up the process of a command: logging to the console and to `tsad.log`, and environment variables.

    Only the command line calls it. A library must not change the logging of the program that imports it.

    Raises:
        SpecError: if a setting is wrong.
    """
    settings = read_settings()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow down trials on neighboring cores
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    log = settings.output_dir / "tsad.log"
    file = _LogFile(log, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8", delay=True)
    console = logging.StreamHandler()
    console.setLevel(settings.log_level)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("tsad")
    logger.setLevel(logging.DEBUG)
    for old in logger.handlers:
        old.close()
    logger.handlers[:] = [console, file]
    for name in ("mlflow", "alembic"):  # their messages go to the file only
        logging.getLogger(name).handlers[:] = [file]
        logging.getLogger(name).propagate = False
    return settings
