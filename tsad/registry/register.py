"""Versions of registered models: adding one, resolving URIs, listing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tsad.errors import DetectorError
from tsad.tracking.tags import Tag

MODEL = "tsad"
"""Name of the registered model of champions, unless a search names another."""

CANDIDATES = "-candidates"
"""End of the name under which searches of the service register what they found, beside the model that it serves."""

_VERSION = re.compile(r"models:/(?P<name>[^/@]+)(/(?P<number>\d+)|@(?P<alias>.+))")


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
    """Registers a logged model as the next version of the registered model `name`, and returns the version."""
    return str(mlflow.register_model(model_uri, name, tags=tags).version)


def version_of(run_id: str, name: str) -> str | None:
    """Returns the version of `name` whose tag `tsad.run` is the id of a run, None if there is none."""
    registered = MlflowClient().search_model_versions(f"name = '{name}'")
    return next((str(version.version) for version in registered if version.tags.get(Tag.RUN) == run_id), None)


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
    match = _VERSION.fullmatch(model)
    if match is None:
        raise DetectorError(
            f"a registered version is models:/NAME/VERSION or models:/NAME@ALIAS, but got {model}; add the version or the alias"
        )
    name, number, alias = match["name"], match["number"], match["alias"]
    try:
        client = MlflowClient()
        version = client.get_model_version(name, number) if number else client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        raise DetectorError(
            f"{model}: cannot be found ({error.message}); check the name, and TSAD_TRACKING_URI"
        ) from None
    return name, str(version.version)


def list_versions(name: str, newest: int = 100) -> list[Version]:
    """Returns up to `newest` versions of a registered model, newest first; none if there is no such model."""
    client = MlflowClient()
    registered = client.search_model_versions(f"name = '{name}'", max_results=newest, order_by=["version_number DESC"])
    aliases = client.get_registered_model(name).aliases if registered else {}
    return [_described(client, version, aliases) for version in registered]


def _described(client: MlflowClient, version: ModelVersion, aliases: Mapping[str, object]) -> Version:
    number = str(version.version)
    try:
        metrics = client.get_run(version.run_id).data.metrics if version.run_id else {}
    except MlflowException:  # the run was deleted; the version exists without it
        metrics = {}
    return Version(
        version=number,
        aliases=tuple(sorted(alias for alias, target in aliases.items() if str(target) == number)),
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).isoformat(),
        run_id=version.run_id or "",
        metrics=metrics,
        tags=dict(version.tags),
        description=version.description or "",
    )
