"""The aliases champion and challenger of a registered model, and the history of its champions."""

from collections.abc import Mapping
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tsad.errors import DetectorError
from tsad.tracking.tags import Tag

CHAMPION, CHALLENGER = "champion", "challenger"
"""Aliases of the served version and of the version that was last compared with it."""
_HISTORY = 200
"""Largest number of versions in the history of champions."""


def champion(name: str) -> str | None:
    """Returns the version of a registered model that is champion, None if there is none."""
    return _champions(name)[1]


def champion_to_beat(name: str, version: str) -> str | None:
    """Returns the champion that a version must beat: the present one or, if that is the version itself, the one before.

    None if there is no such champion.
    """
    past, present = _champions(name)
    if present != version:
        return present
    return past[-1] if past else None


def set_challenger(name: str, version: str) -> None:
    """Gives a version the alias challenger."""
    MlflowClient().set_registered_model_alias(name, CHALLENGER, version)


def promote(name: str, version: str) -> None:
    """Gives a version the alias champion and adds it to the history; nothing changes if it has the alias."""
    past, present = _champions(name)
    client = MlflowClient()
    if present != version:
        client.set_registered_model_alias(name, CHAMPION, version)
        past += [] if present is None else [present]
    client.set_registered_model_tag(name, Tag.CHAMPIONS, " ".join([*past, version][-_HISTORY:]))
    if str(client.get_registered_model(name).aliases.get(CHALLENGER)) == version:
        client.delete_registered_model_alias(name, CHALLENGER)


def undo(name: str) -> tuple[str, str]:
    """Gives the alias champion back to the previous champion.

    Each call goes back by one more champion. Versions that were deleted since are skipped.

    Returns:
        The version that was champion, and the version that is champion now.

    Raises:
        DetectorError: if there is no champion, or none before it.
    """
    past, present = _champions(name)
    if present is None or not past:
        raise DetectorError(
            f"models:/{name}@{CHAMPION} needs a champion before it to go back to, but has none (present: "
            f"{present or 'none'}, before: {' '.join(past) or 'none'}); promote another version instead"
        )
    client = MlflowClient()
    client.set_registered_model_tag(
        name, Tag.CHAMPIONS, " ".join(past)
    )  # first, so that a kill in between changes nothing
    client.set_registered_model_alias(name, CHAMPION, past[-1])
    client.set_model_version_tag(name, present, Tag.UNDONE, datetime.now(UTC).isoformat(timespec="seconds"))
    return present, past[-1]


def read_decision(name: str, version: str) -> tuple[str, str] | None:
    """Returns the decision about a version and its reason; None if there is none, or it was not applied completely."""
    registered = MlflowClient().get_model_version(name, version)
    return (registered.tags[Tag.GATE], registered.description or "") if Tag.GATE in registered.tags else None


def write_decision(name: str, version: str, decision: str, tags: Mapping[str, str], description: str) -> None:
    """Writes a decision about a version to the registry: description and tags, and `Tag.GATE` last, which marks it complete."""
    client = MlflowClient()
    client.update_model_version(name, version, description=description)
    for key, value in {**tags, Tag.GATE: decision}.items():
        client.set_model_version_tag(name, version, key, value)


def _champions(name: str) -> tuple[list[str], str | None]:
    """Returns the previous champions that still exist, in order, and the present one, None if there is none.

    The alias counts even if the history lacks it, because it was moved by hand or the process was killed in between.
    """
    client = MlflowClient()
    try:
        model = client.get_registered_model(name)
    except MlflowException as error:
        raise DetectorError(f"models:/{name}: cannot be found ({error.message})") from None
    existing = {str(version.version) for version in client.search_model_versions(f"name = '{name}'")}
    past = [version for version in model.tags.get(Tag.CHAMPIONS, "").split() if version in existing]
    present = None if CHAMPION not in model.aliases else str(model.aliases[CHAMPION])
    return (past[:-1] if past[-1:] == [present] else past), present
