"""A registry of small detectors, and services that follow its alias."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.examples import detector_of, sensors
from tests.serving.services import Client, csv, running_app
from tests.stores import clear_environment, opened
from tsad.detector.detector import Detector
from tsad.detector.scoring import ScoringSpec
from tsad.drift import Profile
from tsad.models.baselines.principal import PcaErrorSpec, WindowLinearSpec
from tsad.registry.load import SAMPLE
from tsad.series import Series
from tsad.serving.app import create_app
from tsad.serving.champion_watch import Following
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.model_versions import ModelVersions, open_registered
from tsad.serving.models_in_service import ModelToServe
from tsad.serving.service_parts import Dependencies, Limits
from tsad.tracking.store import Store

NAME = "tsad"
URI = f"models:/{NAME}@champion"
ROWS = sensors(900)
TRAIN, TEST = ROWS.part(0, 700), ROWS.part(700, 900)


def version_folder(folder: Path, length: int, components: int = 2, rows: Series = TRAIN) -> Detector:
    """Returns a detector of the test rows with windows of some length, saved with its profile."""
    spec = PcaErrorSpec(kind="pca_error", components=components)
    return saved_version(folder, detector_of(spec, rows, length, ScoringSpec()), rows)


def late_version_folder(folder: Path, length: int) -> Detector:
    """Returns a detector that knows the score of a row only `length` - 1 rows later, saved likewise."""
    spec = WindowLinearSpec(kind="window_linear", components=6)
    return saved_version(folder, detector_of(spec, TRAIN, length, ScoringSpec(over="mean")), TRAIN)


def saved_version(folder: Path, detector: Detector, rows: Series) -> Detector:
    """Returns a detector that it has saved with a profile and a sample of some rows."""
    detector.save(folder)
    Profile.of(detector, rows, detector.score(rows)).save(folder)
    write_sample(folder, rows)
    return detector


def write_sample(folder: Path, rows: Series) -> None:
    """Gives a saved detector rows that it was tested on."""
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / SAMPLE).write_text(csv(rows), encoding="utf-8")


def registered(client: MlflowClient, folder: Path, name: str = NAME) -> str:
    """Returns the number of a new version, whose detector or fleet is in a folder."""
    run_id = client.create_run("0").info.run_id
    client.log_artifacts(run_id, str(folder), "detector")
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    source = f"{client.get_run(run_id).info.artifact_uri}/detector"
    return str(client.create_model_version(name, source, run_id).version)


@contextmanager
def store_of(folder: Path, versions: Sequence[Path]) -> Iterator[Store]:
    """A store whose registry has the detectors or fleets of some folders as its versions, which are called like the folders."""
    with pytest.MonkeyPatch.context() as patch:
        clear_environment(patch)
        patch.chdir(folder)
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        store = opened(folder)
        for version in versions:
            assert registered(store.client, version) == version.name
        yield store


def live(service: Client) -> Any:
    """Returns what a service says of its model."""
    return service.get("/api/model").json


def until(happened: Callable[[], object], seconds: float = 30) -> None:
    """Waits until something has happened."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def point(client: MlflowClient, version: str, name: str = NAME) -> None:
    """Makes a version champion."""
    client.set_registered_model_alias(name, "champion", version)


@contextmanager
def following(state: Path, *, seconds: float = 0.05, secret: str | None = None, **more: Any) -> Iterator[Client]:
    """Runs a service that follows the alias until the block ends."""
    state.mkdir(parents=True, exist_ok=True)
    versions = ModelVersions(URI, state)
    served, mark = open_registered(versions)
    dependencies = Dependencies(
        state,
        more.pop("runner"),
        lambda done: None,
        webhook_secret=secret,
    )
    model = ModelToServe(NAME, served, state, Following(versions, mark, seconds))
    with running_app(create_app([model], dependencies, SecurityPolicy(), Limits(**more))) as client:
        yield client
