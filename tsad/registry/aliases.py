"""Who is champion of a registered model, who was before, and how that changes."""

from collections.abc import Mapping
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tsad.errors import DetectorError
from tsad.tracking.tags import Tag

CHAMPION, CHALLENGER = "champion", "challenger"
_KEPT = 200


def champion(name: str) -> str | None:
    """Returns the version that is champion, None if there is none."""
    return _standing(name)[1]


def rival(name: str, version: str) -> str | None:
    """Returns the champion that a version must beat: the present one or, if that is the version itself, the one before."""
    past, present = _standing(name)
    if present != version:
        return present
    return past[-1] if past else None


def challenge(name: str, version: str) -> None:
    """Makes a version challenger."""
    MlflowClient().set_registered_model_alias(name, CHALLENGER, version)


def promote(name: str, version: str) -> None:
    """Makes a version champion and notes it in the history; a champion stays what it is."""
    past, present = _standing(name)
    client = MlflowClient()
    if present != version:
        client.set_registered_model_alias(name, CHAMPION, version)
        past += [] if present is None else [present]
    client.set_registered_model_tag(name, Tag.CHAMPIONS, " ".join([*past, version][-_KEPT:]))
    if str(client.get_registered_model(name).aliases.get(CHALLENGER)) == version:
        client.delete_registered_model_alias(name, CHALLENGER)


def undo(name: str) -> tuple[str, str]:
    """Makes the champion before this one champion again; returns the version that was champion, and the one that is now.

    Each call goes one further back. Versions that were deleted since are passed over.

    Raises:
        DetectorError: if there is no champion, or none before it.
    """
    past, present = _standing(name)
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


def decided(name: str, version: str) -> tuple[str, str] | None:
    """Returns what was decided of a version, and why; None if nothing was, or the decision was not carried out."""
    found = MlflowClient().get_model_version(name, version)
    return (found.tags[Tag.GATE], found.description or "") if Tag.GATE in found.tags else None


def note(name: str, version: str, decision: str, tags: Mapping[str, str], description: str) -> None:
    """Writes what was decided of a version; `Tag.GATE` last, since where that stands all else is written."""
    client = MlflowClient()
    client.update_model_version(name, version, description=description)
    for key, value in {**tags, Tag.GATE: decision}.items():
        client.set_model_version_tag(name, version, key, value)


def _standing(name: str) -> tuple[list[str], str | None]:
    """Returns the champions before the present one that still exist, in order, and the present one, None if there is none.

    An alias that somebody moved without us, or we without the history since we were killed, counts as it stands.
    """
    client = MlflowClient()
    try:
        model = client.get_registered_model(name)
    except MlflowException as error:
        raise DetectorError(f"models:/{name}: cannot be found ({error.message})") from None
    there = {str(each.version) for each in client.search_model_versions(f"name = '{name}'")}
    past = [each for each in model.tags.get(Tag.CHAMPIONS, "").split() if each in there]
    present = None if CHAMPION not in model.aliases else str(model.aliases[CHAMPION])
    return (past[:-1] if past[-1:] == [present] else past), present
