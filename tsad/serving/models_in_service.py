"""The models of one service, by name; the first one answers the routes that name none."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import Request

from tsad.errors import shown
from tsad.serving.champion_watch import ChampionWatch, Following
from tsad.serving.errors import RequestError
from tsad.serving.live_model import Deployment, LiveModel, deploy
from tsad.serving.monitoring import OnRecalibration
from tsad.serving.recent_rows import RecentRowsByDetector
from tsad.serving.served_model import ServedModel
from tsad.serving.stream_sessions import StreamLimits, Streams

MODEL = "model"
"""Name of the parameter of paths that names a model, and of the key of a request's scope with the name of its model."""


@dataclass(frozen=True, eq=False)
class ModelToServe:
    """A model that is to be served.

    Attributes:
        name: Name by which requests ask for it.
        served: Version that is served first.
        state: State folder of the model, which no other one uses.
        following: The alias that is followed; None if the model stays what it is.
    """

    name: str
    served: ServedModel
    state: Path
    following: Following | None = None


class ModelInService:
    """A model with what belongs to it alone: its versions, streams and recent rows.

    Args:
        model: The model.
        limits: Limits of its streams.
        detectors: Largest number of detectors whose recent rows are in memory.
        on_recalibration: Callback that gets the record of each recalibration.
    """

    def __init__(
        self, model: ModelToServe, limits: StreamLimits, detectors: int, on_recalibration: OnRecalibration
    ) -> None:
        def deployed(served: ServedModel) -> Deployment:
            return deploy(served, RecentRowsByDetector(served, model.state, on_recalibration, detectors))

        self.name = model.name
        self.live = LiveModel(deployed(model.served))
        following = model.following
        self.watch = None if following is None else ChampionWatch(self.live, following, deployed)
        registered = model.served.source.name
        self.streams = Streams(model.state / "streams", lambda: self.live.detectors, limits, model=registered)

    def described(self, root: str) -> dict[str, Any]:
        """Returns what `/api/models` says of the model; `root` is the path that the service is reached below."""
        source, detectors = self.live.source, self.live.detectors
        return {
            "name": self.name,
            "url": f"{root}/api/models/{quote(self.name, safe='')}",
            "registered": source.name,
            "version": source.version,
            "uri": source.uri,
            "kind": detectors.kind,
            "features": len(detectors.features),
            "entities": None if detectors.entities is None else len(detectors.entities),
        }

    def close(self) -> None:
        """Ends the threads of the model."""
        if self.watch is not None:
            self.watch.close()
        self.live.registry.close()


class ModelsInService:
    """All models of a service.

    Args:
        models: At least one model, with names that differ.
    """

    def __init__(self, models: Sequence[ModelInService]) -> None:
        self._models = {model.name: model for model in models}
        self.first = models[0]

    def __iter__(self) -> Iterator[ModelInService]:
        return iter(self._models.values())

    def __len__(self) -> int:
        return len(self._models)

    def of(self, request: Request) -> ModelInService:
        """Returns the model that a path names, the first one if it names none; raises `RequestError` if there is none."""
        name = request.path_params.get(MODEL, self.first.name)
        if name not in self._models:
            raise RequestError(404, f"there is no model {shown(name)}; there are {shown(list(self._models), 400)}")
        request.scope[MODEL] = name
        return self._models[name]

    @property
    def follows(self) -> bool:
        """Whether an alias is followed."""
        return any(model.watch is not None for model in self)

    def wake(self) -> None:
        """Lets all models that follow an alias look at it now."""
        for model in self:
            if model.watch is not None:
                model.watch.wake()

    def problems(self) -> list[str]:
        """Returns what is in the way of the next versions, with the name of the model if there are several."""
        return [
            problem if len(self) == 1 else f"{model.name}: {problem}"
            for model in self
            for problem in model.live.problems()
        ]

    def failure(self) -> str | None:
        """Returns why the tracking server could not be asked last, None if it could."""
        return next((model.live.registry.failure for model in self if model.live.registry.failure), None)

    @property
    def unreadable_streams(self) -> int:
        """Number of streams that somebody asked for and that could not go on."""
        return sum(model.streams.unreadable for model in self)

    def watches(self) -> list["asyncio.Task[None]"]:
        """Returns tasks that follow the aliases, for ever."""
        return [asyncio.create_task(model.watch.run()) for model in self if model.watch is not None]
