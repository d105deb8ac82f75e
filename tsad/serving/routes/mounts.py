"""Beginnings of the paths of the routes of a model: those of the first model, and those that name one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.params import Depends as Dependency


async def _named(model: Annotated[str, Path(description="Name of a model, as /api/models lists it")]) -> None:
    """Makes the name of the model a documented parameter of a path."""


@dataclass(frozen=True)
class Mount:
    """Beginning of the paths of some routes.

    Attributes:
        prefix: Beginning of the paths below `/api`.
        outside: Beginning of the paths of MLflow's endpoints.
        dependencies: Parameters of these paths.
    """

    prefix: str
    outside: str
    dependencies: Sequence[Dependency] = ()

    def router(self, tag: str, below: str = "") -> APIRouter:
        """Returns a router for paths below `/api`, and below another part of the path if one is stated."""
        return APIRouter(prefix=self.prefix + below, tags=[tag], dependencies=self.dependencies)


FIRST = Mount("/api", "")
NAMED = Mount("/api/models/{model}", "/api/models/{model}", [Depends(_named)])
MOUNTS = (FIRST, NAMED)
