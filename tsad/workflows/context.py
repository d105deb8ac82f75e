"""The place a command runs in: settings read, logging on, store open."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from tsad.data import DataSpec
from tsad.data.cache import Cache
from tsad.data.dataset import DataSet
from tsad.errors import SpecError
from tsad.experiment import ExperimentConfig
from tsad.settings import Settings
from tsad.spec import parse, put, read_yaml
from tsad.tracking.store import Store, open_store


@dataclass(frozen=True, eq=False)
class Place:
    """Where a command runs.

    Attributes:
        settings: From the environment and `.env`.
        store: For tracking and for the registry.
    """

    settings: Settings
    store: Store


def read_settings() -> Settings:
    """Returns the settings, with logging to the console and to a file on; raises `SpecError` if one is wrong."""
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = "; ".join(f"TSAD_{item['loc'][0]}".upper() + f": {item['msg']}" for item in error.errors())
        raise SpecError(f"settings of the environment or .env: {wrong}") from None
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    settings.output_dir.mkdir(parents=True, exist_ok=True)
    console, file = logging.StreamHandler(), logging.FileHandler(settings.output_dir / "tsad.log", encoding="utf-8")
    console.setLevel(settings.log_level)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("tsad")
    logger.setLevel(logging.DEBUG)
    for old in logger.handlers:
        old.close()
    logger.handlers[:] = [console, file]
    for name in ("mlflow", "alembic"):  # their chatter goes to the file only
        logging.getLogger(name).handlers[:] = [file]
        logging.getLogger(name).propagate = False
    return settings


def open_place() -> Place:
    """Returns the place, its tracking store ready for use."""
    settings = read_settings()
    return Place(settings, open_store(settings.tracking_uri))


def open_cache(settings: Settings) -> Cache:
    """Returns the cache of loaded data."""
    return Cache(settings.cache_dir or settings.output_dir / "cache", settings.cache_size)


def load_data(spec: DataSpec, settings: Settings) -> DataSet:
    """Returns the data that a YAML describes, from the cache if it was loaded before."""
    return open_cache(settings).load(spec, settings.data_dir)


def device(settings: Settings) -> str:
    """Returns "cuda" or "cpu"."""
    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return settings.device


def read_experiment(path: Path, changes: Mapping[str, Any]) -> ExperimentConfig:
    """Returns the experiment of a YAML file with `changes` put at their paths; raises `SpecError` naming each mistake."""
    return parse(ExperimentConfig, put(read_yaml(path), changes), str(path))
