"""Versions of a registered model on this machine's disk: they are opened, and opened again, while the registry is away."""

import hashlib
import json
import logging
import re
import shutil
from dataclasses import asdict
from pathlib import Path

from tsad.detector.loaded import LoadedDetectors
from tsad.errors import DetectorError, SpecError, shown
from tsad.registry.load import any_model_folder
from tsad.registry.register import VersionMark, metrics_of, read_version
from tsad.serving.live_model import check_successor
from tsad.serving.served_model import ModelSource, ServedModel, open_source
from tsad.spec import Spec, parse

_log = logging.getLogger(__name__)

MODELS = "models"
"""Name of the folder of copies in the state folder."""
_CARD, _LIVE = "copy.json", "live.json"
_KEPT = 2
"""Copies that are kept: of the version in service, and of the one before it."""


class _Copy(Spec):
    """Description of a copy.

    Attributes:
        name: Name of the registered model.
        version: Number of the version.
        source: URI of what was registered.
        created: Time of registration in milliseconds since 1970.
        run_id: Id of the run of the version.
        metrics: Metrics of that run.
    """

    name: str
    version: str
    source: str
    created: int
    run_id: str
    metrics: dict[str, float]

    @property
    def mark(self) -> VersionMark:
        """Version that was copied."""
        return VersionMark(self.name, self.version, self.source, self.created, self.run_id)


class _Live(Spec):
    """Content of the file that says what was in service last.

    Attributes:
        uri: URI that the service was asked to serve.
        copies: Names of the folders of copies, the newest in service first.
    """

    uri: str
    copies: tuple[str, ...]


class ModelVersions:
    """Opens the version that a URI refers to, and keeps a copy of it.

    Args:
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
        state: State folder of the service.
        trust: Run the code that is stored in the versions in place of the installed one.
        loaded: Detectors in memory, among which those of the versions make room for others; None for the versions alone.
    """

    def __init__(self, uri: str, state: Path, *, trust: bool = False, loaded: LoadedDetectors | None = None) -> None:
        self.uri = uri
        self._loaded = loaded
        self._folder = state / MODELS
        self._trust = trust

    def newest(self) -> VersionMark:
        """Returns the version that the URI refers to now.

        Raises:
            RegistryAwayError: if the registry cannot be asked.
            DetectorError: if there is no such version.
        """
        return read_version(self.uri)

    def open(self, mark: VersionMark) -> ServedModel:
        """Returns a version, from its copy if there is one.

        Raises:
            DetectorError: if it cannot be fetched, or is no detector that may be served.
            OSError: if the copy cannot be written.
        """
        folder = self._folder / _key(mark)
        copy = self._read(folder)
        if copy is None:
            copy = self._fetch(mark, folder)
        source = ModelSource(self.uri, mark.name, mark.version, any_model_folder(str(_model_in(folder))), copy.metrics)
        return open_source(source, folder / "packed", trust=self._trust, loaded=self._loaded)

    def last(self) -> VersionMark | None:
        """Returns the version of this URI that was in service last and whose copy is whole, None if there is none."""
        live = self._live()
        copies = () if live is None or live.uri != self.uri else live.copies[:1]
        found_copy = next((self._read(self._folder / key) for key in copies), None)
        return None if found_copy is None else found_copy.mark

    def keep(self, mark: VersionMark) -> None:
        """Notes that a version is in service, and removes the copies of others but of the one before it."""
        live = self._live()
        earlier = () if live is None or live.uri != self.uri else live.copies
        copies = (_key(mark), *(key for key in earlier if key != _key(mark)))[:_KEPT]
        try:
            _write(self._folder / _LIVE, _Live(uri=self.uri, copies=copies))
        except OSError as error:
            _log.warning("what is in service cannot be stored: %s", error)
            return
        for path in self._folder.iterdir():
            if path.is_dir() and path.name not in copies:
                shutil.rmtree(path, ignore_errors=True)

    def _fetch(self, mark: VersionMark, folder: Path) -> _Copy:
        unfinished = folder.with_name(f".{folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        (unfinished / "model").mkdir(parents=True)
        try:
            any_model_folder(f"models:/{mark.name}/{mark.version}", unfinished / "model")
            copy = _Copy(**asdict(mark), metrics=dict(metrics_of(mark.run_id)))
            _write(unfinished / _CARD, copy)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return copy

    def _read(self, folder: Path) -> _Copy | None:
        try:
            copy = parse(_Copy, json.loads((folder / _CARD).read_text(encoding="utf-8")), str(folder / _CARD))
        except (OSError, ValueError, SpecError, RecursionError, TypeError, AttributeError):
            return None
        return copy if _key(copy.mark) == folder.name else None

    def _live(self) -> _Live | None:
        path = self._folder / _LIVE
        try:
            return parse(_Live, json.loads(path.read_text(encoding="utf-8")), str(path))
        except (OSError, ValueError, SpecError, RecursionError, TypeError, AttributeError):
            return None


def open_registered(versions: ModelVersions) -> tuple[ServedModel, VersionMark]:
    """Returns the version that a URI refers to; the one that was in service last, if that one cannot be had or fails its check.

    Raises:
        DetectorError: if there is no such version, or it cannot be had and none was in service before.
    """
    last = versions.last()
    try:
        mark = versions.newest()
        served = versions.open(mark)
        if last is not None and mark != last:
            check_successor(served, served.detectors)
    except (DetectorError, OSError) as error:
        if last is None:
            raise DetectorError(str(error)) from None
        _log.warning("version %s was in service last, and is served on: %s", last.version, shown(str(error), 300))
        mark, served = last, versions.open(last)
        served.registry.failure = "the tracking server could not be asked when the service started"
    versions.keep(mark)
    return served, mark


def _model_in(folder: Path) -> Path:
    """Returns the folder of a copy that holds the model; MLflow may put it into another one."""
    inside = folder / "model"
    nested = [path for path in inside.iterdir() if path.is_dir()]
    return nested[0] if len(list(inside.iterdir())) == 1 and nested else inside


def _key(mark: VersionMark) -> str:
    digest = hashlib.sha256(f"{mark.source}\n{mark.created}".encode()).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', mark.name)[:60]}-{mark.version}-{digest[:12]}"


def _write(path: Path, content: Spec) -> None:
    """Writes a file completely or not at all."""
    whole = path.with_name(f".{path.name}")
    whole.write_text(content.model_dump_json(), encoding="utf-8")
    whole.replace(path)
