"""Versions of registered models: adding one, resolving URIs, listing."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tsad.detector.detector import Detector
from tsad.errors import DetectorError
from tsad.fleet import Fleet
from tsad.registry.aliases import champion, set_challenger
from tsad.registry.load import ABSENT, RegistryAwayError, any_model_folder, model_folder
from tsad.registry.log import log_detector
from tsad.series import Series
from tsad.tracking.store import Store
from tsad.tracking.tags import Tag, provenance_tags

MODEL = "tsad"
"""Name of the registered model of champions, unless a search names another."""

CANDIDATES = "-candidates"
"""End of the name under which searches of the service register what they found, beside the model that it serves."""
_OF_RUN = (Tag.LABELS_USED, Tag.SUPERVISED, Tag.ORACLE, Tag.BEATS_BASELINES, Tag.CHAMPION_TRIALS)
"""Beginnings of the names of the tags that a version takes over from the run of its detector."""

_VERSION = re.compile(r"models:/(?P<name>[^/@]+)(/(?P<number>\d+)|@(?P<alias>.+))")


@dataclass(frozen=True)
class VersionMark:
    """Identity of a registered version: a number may come again if the whole model was deleted.

    Attributes:
        name: Name of the registered model.
        version: Number of the version.
        source: URI of what was registered.
        created: Time of registration in milliseconds since 1970.
        run_id: Id of the run that the model was logged to; empty if it is unknown.
    """

    name: str
    version: str
    source: str
    created: int
    run_id: str


@dataclass(frozen=True)
class Version:
    """One version of a registered model.

    Attributes:
        version: Number of the version.
        aliases: Aliases that point to the version, in alphabetical order.
        created: Time of registration in ISO 8601, UTC.
        run_id: Id of the run that the model was logged to; empty if it is unknown.
        metrics: Metrics of that run by name; empty if the run was deleted.
        tags: Tags of the version by name.
        description: Description of the version on the page of the registry.
    """

    version: str
    aliases: tuple[str, ...]
    created: str
    run_id: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    description: str


def register(model_uri: str, name: str, tags: dict[str, str]) -> str:
    """Registers a logged model as the next version of the registered model `name`, and returns the version.

    Raises:
        DetectorError: if the registry refuses it, because of the name for example.
    """
    try:
        return str(mlflow.register_model(model_uri, name, tags=tags).version)
    except MlflowException as error:
        raise DetectorError(f"models:/{name}: cannot be registered ({error.message}); choose another name") from None


def register_detector(run_id: str, folder: Path, series: Series | None, name: str, tags: dict[str, str]) -> str:
    """Logs the saved detector of a run as a model, registers that, and returns the version.

    Both are done once: after an interruption, and for a detector that was registered before, the version is found again by
    the run and by the digest of the detector.

    Args:
        run_id: Id of the run that the detector belongs to.
        folder: Folder that `Detector.save` wrote.
        series: Test rows for the input example of the model; None for none.
        name: Name of the registered model.
        tags: Tags of the logged model and of the version by name; `tsad.run` and `tsad.digest` are added.
    """
    tags = {Tag.RUN: run_id, Tag.DIGEST: Detector.load(folder).digest} | tags
    return version_of(run_id, name, tags[Tag.DIGEST]) or register(
        log_detector(run_id, folder, series, tags), name, tags
    )


def is_of_run(model: str) -> bool:
    """Returns whether a URI is that of a run's detector, `runs:/RUN_ID/PATH`."""
    return model.startswith("runs:/")


def register_run(model: str, name: str, series: Series | None = None) -> str:
    """Registers the detector of a run, as challenger unless it is champion, and returns its version; once for each detector.

    The version says which labels were used as the run does, which knows whether labels chose the detector.

    Args:
        model: `runs:/RUN_ID/detector`, or another path of a detector in a run.
        name: Name of the registered model.
        series: Test rows for the input example; not used if the run has the detector as a model or has other features.

    Raises:
        DetectorError: if there is no such run, or no detector at that path.
    """
    folder = model_folder(model).detector
    run_id = _run_of(model)
    detector, run_tags = Detector.load(folder), _tags_of_run(run_id)
    tags = {Tag.BEATS_BASELINES: "unknown"} | provenance_tags(detector.provenance) | run_tags
    example = series if series is not None and series.features == detector.scorer.features else None
    version = register_detector(run_id, folder, example, name, tags)
    if champion(name) != version:
        set_challenger(name, version)
    return version


def register_fleet(model: str, name: str) -> str:
    """Registers the fleet of a run, as challenger unless it is champion, and returns its version; once for each fleet.

    Args:
        model: `runs:/RUN_ID/fleet`.
        name: Name of the registered model.

    Raises:
        DetectorError: if there is no such run, or no fleet at that path.
    """
    folder = any_model_folder(model)
    run_id, fleet = _run_of(model), Fleet.load(folder.detector)
    digest = hashlib.sha256()
    for path in sorted(fleet.folder.rglob("*")):
        if path.is_file():
            digest.update(
                path.relative_to(fleet.folder).as_posix().encode() + hashlib.sha256(path.read_bytes()).digest()
            )
    tags = {Tag.BEATS_BASELINES: "unknown", **_tags_of_run(run_id), Tag.RUN: run_id, Tag.DIGEST: digest.hexdigest()}
    version = version_of(run_id, name, tags[Tag.DIGEST]) or register(model, name, tags)
    if champion(name) != version:
        set_challenger(name, version)
    return version


def _run_of(model: str) -> str:
    return model.removeprefix("runs:/").strip("/").partition("/")[0]


def _tags_of_run(run_id: str) -> dict[str, str]:
    """Returns the tags that a version takes over from its run."""
    tags = MlflowClient().get_run(run_id).data.tags
    return {key: value for key, value in tags.items() if key.startswith(_OF_RUN)}


def logged_model(store: Store, model: str, digest: str) -> str | None:
    """Returns the id of the logged model of a detector: the source of a version, else the newest with the digest, None if none.

    Args:
        store: Tracking store of the logged models.
        model: URI or folder that the detector came from; empty if it is unknown.
        digest: Digest of the detector.
    """
    if model.startswith("models:/"):
        source = str(MlflowClient().get_model_version(*resolve(model)).source)
        if source.startswith("models:/m-"):
            return source.removeprefix("models:/")
    experiments = [experiment.experiment_id for experiment in store.experiments()]
    same = f"tags.`{Tag.DIGEST}` = '{digest}'"
    models = store.client.search_logged_models(experiments, filter_string=same, max_results=1)
    return str(models[0].model_id) if models else None


def beats_baselines(name: str, version: str) -> str:
    """Returns whether a version beats the best baseline, as its tag says: `yes`, `perhaps`, `no` or `unknown`."""
    return str(MlflowClient().get_model_version(name, version).tags.get(Tag.BEATS_BASELINES, "unknown"))


def version_of(run_id: str, name: str, digest: str | None = None) -> str | None:
    """Returns the version of `name` that is the detector of a run, and has the digest if one is given; None without one."""
    marks = {Tag.RUN: run_id} | ({} if digest is None else {Tag.DIGEST: digest})
    for version in MlflowClient().search_model_versions(f"name = '{name}'"):
        if marks.items() <= version.tags.items():
            return str(version.version)
    return None


def candidates_of(name: str | None) -> str:
    """Returns the registered name for candidates that shall not touch the model `name`; None for a model without a name.

    >>> candidates_of("pump 7")
    'pump_7-candidates'
    """
    return re.sub(r"[^\w.-]", "_", name or MODEL) + CANDIDATES


def copy_version(name: str, version: str, target: str) -> str:
    """Registers a version of one model as the next version of another, once, and returns its number there.

    Args:
        name: Name of the model to copy from.
        version: Number of its version.
        target: Name of the model to copy to; it must exist.
    """
    client, origin = MlflowClient(), f"{name}/{version}"
    for copy in client.search_model_versions(f"name = '{target}'"):
        if copy.tags.get(Tag.CANDIDATE) == origin:
            return str(copy.version)
    source = client.get_model_version(name, version)
    own_tags = {key: value for key, value in source.tags.items() if not key.startswith(Tag.GATE)}
    tags = {**own_tags, Tag.RUN: origin, Tag.CANDIDATE: origin}
    copied = client.create_model_version(target, source.source or "", source.run_id, tags, model_id=source.model_id)
    return str(copied.version)


def resolve(model: str) -> tuple[str, str]:
    """Returns name and number of the version that `models:/NAME/VERSION` or `models:/NAME@ALIAS` refers to.

    Raises:
        DetectorError: if it is another kind of URI, or there is no such version.
    """
    mark = read_version(model)
    return mark.name, mark.version


def read_version(model: str) -> VersionMark:
    """Returns the version that `models:/NAME/VERSION` or `models:/NAME@ALIAS` refers to now.

    Raises:
        RegistryAwayError: if the registry cannot be asked.
        DetectorError: if it is another kind of URI, or there is no such version.
    """
    match = _VERSION.fullmatch(model)
    if match is None:
        raise DetectorError(
            f"a registered version is models:/NAME/VERSION or models:/NAME@ALIAS, but got {model}; add the version or the alias, "
            f"or name the detector of a run, runs:/RUN_ID/detector"
        )
    name, number, alias = match["name"], match["number"], match["alias"]
    try:
        client = MlflowClient()
        version = client.get_model_version(name, number) if number else client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        kind = DetectorError if error.error_code in ABSENT else RegistryAwayError
        raise kind(f"{model}: cannot be found ({error.message}); check the name, and TSAD_TRACKING_URI") from None
    created = int(version.creation_timestamp or 0)
    return VersionMark(name, str(version.version), str(version.source), created, version.run_id or "")


def metrics_of(run_id: str) -> Mapping[str, float]:
    """Returns the metrics of the run of a version; none if the run was deleted, or is unknown."""
    try:
        return dict(MlflowClient().get_run(run_id).data.metrics) if run_id else {}
    except MlflowException:
        return {}


def list_versions(name: str, newest: int = 100) -> list[Version]:
    """Returns up to `newest` versions of a registered model, newest first; none if there is no such model."""
    client = MlflowClient()
    registered = client.search_model_versions(f"name = '{name}'", max_results=newest, order_by=["version_number DESC"])
    aliases = client.get_registered_model(name).aliases if registered else {}
    return [_described(version, aliases) for version in registered]


def _described(version: ModelVersion, aliases: Mapping[str, object]) -> Version:
    number = str(version.version)
    return Version(
        version=number,
        aliases=tuple(sorted(alias for alias, target in aliases.items() if str(target) == number)),
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).isoformat(),
        run_id=version.run_id or "",
        metrics=metrics_of(version.run_id or ""),
        tags=dict(version.tags),
        description=version.description or "",
    )
