"""Models that `tsad serve` opens: their names, their state folders, and the aliases that are followed."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tsad.detector.loaded import LoadedDetectors
from tsad.errors import SpecError
from tsad.serving.champion_watch import Following
from tsad.serving.model_versions import ModelVersions, open_registered
from tsad.serving.models_in_service import ModelToServe
from tsad.serving.served_model import open_model

_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]{0,99})=(?P<uri>.+)", re.ASCII)
_REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)[/@].+")
_OWNER, _OTHERS = "first_model.txt", "others"
"""File of the state folder with the name of the model whose state it holds, and folder of the states of the others."""


@dataclass(frozen=True)
class NamedModel:
    """A model to serve.

    Attributes:
        name: Name by which requests ask for it.
        uri: URI or folder of the model.
    """

    name: str
    uri: str

    @classmethod
    def parse(cls, text: str) -> "NamedModel":
        """Returns the model of `NAME=URI` or `URI`, which is called like the registered model or the folder.

        >>> NamedModel.parse("models:/pumps@champion").name, NamedModel.parse("b=models:/pumps/2").name
        ('pumps', 'b')
        """
        match = None if Path(text).is_dir() else _NAMED.fullmatch(text)
        if match is not None:
            return cls(match["name"], match["uri"])
        registered = _REGISTERED.fullmatch(text)
        if registered is not None:
            return cls(registered["name"], text)
        last = Path(text).resolve().name if "://" not in text and ":/" not in text else text.rpartition("/")[2]
        return cls(re.sub(r"[^A-Za-z0-9_.-]", "_", last) or "model", text)


def named_models(texts: Sequence[str]) -> list[NamedModel]:
    """Returns the models of `URI` or `NAME=URI`; raises `SpecError` if there is none, or two have one name."""
    if not texts:
        raise SpecError("a service needs a model, but got none; give models:/NAME@ALIAS")
    models = [NamedModel.parse(text) for text in texts]
    name, count = Counter(model.name for model in models).most_common(1)[0]
    if count > 1:
        uris = " and ".join(model.uri for model in models if model.name == name)
        raise SpecError(
            f"models of one service need names that differ, but {uris} are both called {name}; name one of them: OTHER=URI"
        )
    return models


def open_models(
    models: Sequence[NamedModel], state: Path, loaded: LoadedDetectors, *, trust: bool, poll: float
) -> list[ModelToServe]:
    """Returns models ready to be served, each with a state folder of its own.

    The state folder of the service holds that of one model, and keeps holding it in whatever order they are served.

    Args:
        models: Models in the order of the command.
        state: State folder of the service.
        loaded: Detectors in memory, among which those of all models make room for each other.
        trust: Run the code that is stored in the models in place of the installed one.
        poll: Seconds between two looks at an alias; 0 follows none.

    Raises:
        DetectorError: if there is no such model.
    """
    owner = _owner(models, state)
    opened = []
    for model in models:
        folder = state if model.name == owner else state / _OTHERS / _folder_name(model.name)
        folder.mkdir(parents=True, exist_ok=True)
        opened.append(_opened(model, folder, loaded, trust=trust, poll=poll))
    return opened


def _opened(model: NamedModel, state: Path, loaded: LoadedDetectors, *, trust: bool, poll: float) -> ModelToServe:
    """Returns a model to serve, and what it follows: nothing unless it is an alias."""
    if not model.uri.startswith("models:/"):
        return ModelToServe(model.name, open_model(model.uri, state, trust=trust, loaded=loaded), state)
    versions = ModelVersions(model.uri, state, trust=trust, loaded=loaded)
    served, mark = open_registered(versions)
    is_alias = "@" in model.uri and poll > 0
    return ModelToServe(model.name, served, state, Following(versions, mark, poll) if is_alias else None)


def _owner(models: Sequence[NamedModel], state: Path) -> str:
    """Returns the name of the model whose state is in the state folder itself, and notes it there."""
    path = state / _OWNER
    owner = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
    if owner not in {model.name for model in models}:
        owner = models[0].name
        path.write_text(f"{owner}\n", encoding="utf-8")
    return owner


def _folder_name(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:60]}-{digest}"
