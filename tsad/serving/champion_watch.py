"""The watch over an alias: a version that it points at anew is loaded, checked and put into service."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from tsad.errors import TsadError, shown
from tsad.registry.load import RegistryAwayError
from tsad.registry.register import VersionMark
from tsad.serving.live_model import Deployment, LiveModel, check_successor
from tsad.serving.model_versions import ModelVersions
from tsad.serving.served_model import ServedModel

_log = logging.getLogger(__name__)

T = TypeVar("T")

_LEAST_SECONDS = 1.0
"""Between two questions to the registry, however often somebody wakes the watch."""


@dataclass(frozen=True, eq=False)
class Following:
    """The alias that a service follows.

    Attributes:
        versions: Opens versions of the model.
        mark: The version in service at the start.
        seconds: Seconds between two looks at the alias.
    """

    versions: ModelVersions
    mark: VersionMark
    seconds: float = 30.0


class ChampionWatch:
    """Follows an alias while the service runs: promotions and rollbacks alike.

    Whatever goes wrong, the version in service goes on. A version that fails its check is not tried again before the alias
    has pointed elsewhere; a registry that is away is asked again at the next look.

    Args:
        live: The model in service.
        following: What is followed.
        deploy: Makes a version ready to take requests.
    """

    def __init__(self, live: LiveModel, following: Following, deploy: Callable[[ServedModel], Deployment]) -> None:
        self._live, self._following, self._deploy = live, following, deploy
        self._mark = following.mark
        self._refused: VersionMark | None = None
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "champion")
        live.follows = following.versions.uri

    def wake(self) -> None:
        """Lets the watch look now."""
        self._wake.set()

    async def run(self) -> None:
        """Looks for ever."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._following.seconds)
            self._wake.clear()
            try:
                await self.look()
            except Exception:  # the watch goes on, whatever a version or a registry does
                _log.exception("the watch over %s failed", self._following.versions.uri)
            await asyncio.sleep(min(_LEAST_SECONDS, self._following.seconds))

    async def look(self) -> bool:
        """Asks which version is meant, and puts it into service if it is another; returns whether it did."""
        live, versions = self._live, self._following.versions
        try:
            mark = await self._away(versions.newest)
        except Exception as error:  # whatever MLflow raises for a server that is away
            self._fail(f"{versions.uri} cannot be asked for ({type(error).__name__})", error)
            return False
        live.asked()
        if mark == self._mark:
            self._refused = live.refused = None
            return False
        return mark != self._refused and await self._replace(mark)

    def close(self) -> None:
        """Looks no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _replace(self, mark: VersionMark) -> bool:
        live, versions = self._live, self._following.versions
        live.loading = mark.version
        try:
            deployment = await self._away(self._prepare, mark)
        except (RegistryAwayError, OSError) as error:
            self._fail(f"version {mark.version} cannot be fetched or stored", error)
            return False
        except Exception as error:  # whatever a damaged model raises
            self._refuse(mark, str(error) if isinstance(error, TsadError) else f"{type(error).__name__}: {error}")
            return False
        finally:
            live.loading = None
        before = live.source.version
        live.swap(deployment)
        self._mark, self._refused, live.refused = mark, None, None
        _log.warning("version %s is in service in place of version %s", mark.version, before)
        await self._away(versions.keep, mark)
        return True

    def _prepare(self, mark: VersionMark) -> Deployment:
        """Returns a version that was loaded beside the one in service, and checked."""
        served = self._following.versions.open(mark)
        try:
            check_successor(served, self._live.detectors)
            return self._deploy(served)
        finally:
            served.registry.close()  # that of the first version goes on

    def _refuse(self, mark: VersionMark, reason: str) -> None:
        self._refused = mark
        self._live.refused = {"version": mark.version, "reason": reason[:500]}
        _log.error("version %s is not put into service: %s", mark.version, shown(reason, 500))

    def _fail(self, message: str, error: Exception) -> None:
        if self._live.failure is None:
            _log.warning("%s: %s", message, shown(str(error), 300))
        self._live.failure = message

    async def _away(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
