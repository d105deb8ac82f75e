"""Streams that clients push rows to; each outlives the service in a folder of its own."""

import asyncio
import logging
import re
import shutil
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tsad.arrays import Values
from tsad.detector.detector import Detector
from tsad.errors import TsadError
from tsad.serving.errors import RequestError
from tsad.serving.responses import numbers
from tsad.serving.row_sources import PRODUCTION
from tsad.serving.stream_ages import AGES, StreamAges
from tsad.serving.stream_files import StreamOrigin, load_stream, make_folder, read_origin, write_origin, write_threshold
from tsad.serving.stream_tail import StreamTail
from tsad.spec import Spec
from tsad.streaming import ScoredRows, Silence, Stream, StreamPolicy

_ID = re.compile(r"[0-9a-f]{32}")
_POLICY = "silence.json"
"""Name of the file with the policy of a stream that has a limit of silence."""
_logger = logging.getLogger(__name__)


class NewStream(Spec):
    """The body that opens a stream.

    Attributes:
        policy: About late rows and gaps.
        source: Source of the rows; None for production.
        entity: Entity of a fleet that the rows are of; None if the model is no fleet.
    """

    policy: StreamPolicy = StreamPolicy()
    source: str | None = Field(None, max_length=64)
    entity: str | None = Field(None, max_length=1000)


@dataclass(frozen=True)
class StreamLimits:
    """Limits of streams.

    Attributes:
        streams: Largest number of open streams.
        loaded: Largest number of streams in memory.
        idle_seconds: After which one that got no row is removed when somebody opens another.
    """

    streams: int = 1000
    loaded: int = 100
    idle_seconds: float = 7 * 86_400.0


class DetectorsByEntity(Protocol):
    """Detectors of a model in service."""

    def of(self, entity: str | None) -> Detector:
        """Returns the detector of an entity of a fleet, or the only one of a model for None."""


@dataclass(eq=False)
class StreamSession:
    """Session of one stream.

    Attributes:
        folder: Folder of its state.
        stream: None if it has to be read from there.
        detectors: Detectors of the version of the model that the stream is of; its own one is kept by the stream.
        origin: Origin of the stream, read with it.
        owed: Scores that the stream owes because it has moved to another version; None if it has not, or that is saved.
        is_alarmed: Whether the last row with a final score was flagged, as far as this process knows.
        lock: Lock that is held while the session is used.
    """

    folder: Path
    stream: Stream | None = None
    detectors: DetectorsByEntity | None = None
    origin: StreamOrigin = field(default_factory=StreamOrigin)
    owed: ScoredRows | None = None
    is_alarmed: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Streams:
    """The open streams. Each goes on with the threshold that it began with, whatever was recalibrated since.

    When another version of the registered model is put into service, a stream moves to it with its next rows: that version
    meets the last rows of the stream first, so that no row is left without a score, and flags by its own threshold.

    Args:
        folder: Folder of the states of all streams.
        detectors: Returns the detectors in service.
        limits: How many, how long.
        ages: Ages of streams; None for those in a file of the folder.
        model: Name of the registered model in service; None for a model that is not registered, whose streams do not move.
    """

    def __init__(
        self,
        folder: Path,
        detectors: Callable[[], DetectorsByEntity],
        limits: StreamLimits,
        ages: StreamAges | None = None,
        model: str | None = None,
    ) -> None:
        make_folder(folder)
        self._folder = folder
        self._detectors = detectors
        self._model = model
        self._limits = limits
        self.ages = ages or StreamAges(folder / AGES)
        self._reported: set[str] = set()
        self._sessions: dict[str, StreamSession] = {}
        self._unreadable: set[str] = set()

    @property
    def open_streams(self) -> int:
        """Returns the number of open streams."""
        return len(self._folders())

    @property
    def unreadable(self) -> int:
        """Number of streams that somebody asked for and that could not go on."""
        return len(self._unreadable)

    def begin(self, new: NewStream, source: str = PRODUCTION) -> dict[str, Any]:
        """Opens a stream, whose rows are of a source, and returns what it is; raises `RequestError` if too many are open."""
        self._sweep()
        if self.open_streams >= self._limits.streams:
            raise RequestError(
                429, f"{self._limits.streams} streams are open, no more may be; delete one", {"Retry-After": "60"}
            )
        number, detector = uuid.uuid4().hex, self._detectors().of(new.entity)
        folder, stream = self._folder / number, Stream(detector, new.policy)
        try:
            stream.save(folder)
            write_threshold(folder, detector)
            write_origin(folder, StreamOrigin.of(source, self._model, detector.scorer.features, new.entity))
            if new.policy.silence is not None:
                (folder / _POLICY).write_text(new.policy.model_dump_json(), encoding="utf-8")
            self.ages.arrive(number)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)  # what cannot be saved has not begun
            raise
        return {"id": number, **_described(stream), "source": source, "entity": new.entity, "silence": None}

    @asynccontextmanager
    async def filled(self, number: str) -> AsyncIterator[StreamSession]:
        """Holds a stream for one request; raises `RequestError` if there is none of that id."""
        self._check(number)
        session = self._sessions.setdefault(number, StreamSession(self._folder / number))
        async with session.lock:
            self._check(number)  # it may have been removed in the meantime
            yield session
            self._sessions[number] = self._sessions.pop(number, session)  # the last used comes last
        for idle in list(self._sessions.values())[: max(0, len(self._sessions) - self._limits.loaded)]:
            if not idle.lock.locked():
                idle.stream = None

    def describe(self, session: StreamSession) -> dict[str, Any]:
        """Returns what `/api/streams/ID` answers."""
        stream = self._loaded(session)
        silence = self._silence(session.folder.name, stream.policy)
        return {
            "id": session.folder.name,
            **_described(stream),
            "source": session.origin.source,
            "entity": session.origin.entity,
            "silence": None if silence is None else _alert(silence),
        }

    def silent(self) -> dict[str, Silence]:
        """Returns the alert of each stream that has got no rows for as many steps as its policy allows, by the id of the stream.

        The time is counted from the moments at which rows arrived here, or the stream was opened, while the service runs; the
        times of the rows say nothing about it.
        """
        result = {}
        for path in self._folder.glob(f"*/{_POLICY}"):
            with suppress(OSError, ValueError):  # removed just now
                silence = self._silence(path.parent.name, StreamPolicy.model_validate_json(path.read_bytes()))
                if silence is not None:
                    result[path.parent.name] = silence
        return result

    def new_silences(self) -> dict[str, Silence]:
        """Returns the alerts of `silent` that were not returned before; one that ended and began again is new."""
        silent = self.silent()
        fresh = {number: silence for number, silence in silent.items() if number not in self._reported}
        self._reported = set(silent)
        return fresh

    def _silence(self, number: str, policy: StreamPolicy) -> Silence | None:
        seconds = self.ages.seconds(number)
        silence = policy.silence_at(0, round(seconds * 1e9))
        return silence and silence._replace(since=np.datetime64(round(self.ages.moment(number) * 1e9), "ns"))

    def origin(self, session: StreamSession, detectors: DetectorsByEntity | None = None) -> StreamOrigin:
        """Returns the origin of a stream, which is moved to the version of these detectors; None for those in service."""
        self._loaded(session, detectors)
        return session.origin

    def push(
        self,
        session: StreamSession,
        values: Values,
        times: NDArray[np.datetime64] | None,
        after: int | None,
        detectors: DetectorsByEntity | None = None,
    ) -> tuple[dict[str, Any], ScoredRows]:
        """Pushes rows, saves the state, and returns the answer with what it is made of.

        Args:
            session: Session of the stream, whose lock is held.
            values: (n, F) values of the rows.
            times: (n,) times of the rows, or None.
            after: Number of rows that the stream must have received before; None for any number.
            detectors: Detectors of the version that scores the rows; None for those in service.

        Raises:
            DataError: if the stream does not take the rows; it is then as it was.
            RequestError: if it has not `after` rows.
        """
        stream = self._loaded(session, detectors)
        if after is not None and after != stream.rows:
            message = f"the stream must have {after} rows before these, but has {stream.rows}; send those that follow"
            raise RequestError(409, message, details={"rows_total": stream.rows})
        first, plan = stream.rows, stream.policy.arrange(times, len(values), stream.latest)
        scored = stream.push(values, times)
        session.stream, owed = None, session.owed  # what cannot be saved has not happened
        if owed is not None:
            scored = owed.then(scored)
            write_threshold(session.folder, stream.detector, moved=True)
        if session.origin.model is not None:
            kept_times = None if times is None else times[plan.accepted]
            scorer = stream.detector.scorer
            tail = StreamTail(session.folder, len(scorer.features))
            tail.append(first, values[plan.accepted], kept_times, scorer.lookback + scorer.lookahead + 1)
        stream.save(session.folder)
        if len(values):
            self.ages.arrive(session.folder.name)
        session.stream, session.owed = stream, None
        return {
            "rows_total": stream.rows,
            "row": scored.rows.tolist(),
            "score": numbers(scored.scores),
            "threshold": numbers(scored.thresholds),
            "flag": scored.flags.tolist(),
        }, scored

    def remove(self, session: StreamSession) -> None:
        """Ends a stream and forgets its state."""
        shutil.rmtree(session.folder)
        self.ages.forget(session.folder.name)
        self._unreadable.discard(session.folder.name)
        self._sessions.pop(session.folder.name, None)

    def _check(self, number: str) -> None:
        if not _ID.fullmatch(number) or not (self._folder / number).is_dir():
            raise RequestError(404, f"there is no stream {number[:40]!r}; open one with POST /api/streams")

    def _loaded(self, session: StreamSession, detectors: DetectorsByEntity | None = None) -> Stream:
        """Returns the stream of a session, moved to the version of these detectors if that is another one."""
        detectors = detectors or self._detectors()
        if session.stream is not None and session.detectors is detectors:
            return session.stream
        session.stream = None
        try:
            session.origin = read_origin(session.folder)
            detector = detectors.of(session.origin.entity)
            session.stream, session.owed = load_stream(session.folder, detector, session.origin, self._model)
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, TsadError, RequestError) as error:
            self._unreadable.add(session.folder.name)
            reason = str(error).replace(f"{session.folder}/", "").partition("\n")[0]
            raise RequestError(409, f"the stream cannot go on ({reason}); delete it and open another") from None
        self._unreadable.discard(session.folder.name)
        session.detectors = detectors
        return session.stream

    def _folders(self) -> list[Path]:
        """Returns the folders of streams; whatever else lies beside them is none of ours."""
        return [path for path in self._folder.iterdir() if _ID.fullmatch(path.name) and path.is_dir()]

    def _sweep(self) -> None:
        """Removes what nobody has used for long."""
        for folder in self._folders():
            session = self._sessions.get(folder.name)
            is_idle = self.ages.seconds(folder.name) > self._limits.idle_seconds
            if is_idle and not (session and session.lock.locked()):
                with suppress(OSError):  # of another owner, or just removed; the others go on
                    self.remove(session or StreamSession(folder))


async def watch(streams: Streams, on_silence: Callable[[int], None], seconds: float = 1.0) -> None:
    """Looks for streams that have become silent, for ever: logs each as a warning, and passes on how many there are.

    It also stores the ages of all streams.

    Args:
        streams: Streams to watch.
        on_silence: Callback that gets the number of new silences.
        seconds: Seconds between two looks.
    """
    try:
        while True:
            silences = await asyncio.to_thread(streams.new_silences)
            for number, silence in silences.items():
                message = "stream %s is silent: no row for %.0f s (%d steps)"
                _logger.warning(message, number, silence.seconds, silence.steps)
            if silences:
                on_silence(len(silences))
            await asyncio.to_thread(streams.ages.save, due=True)
            await asyncio.sleep(seconds)
    finally:
        streams.ages.save()


def _alert(silence: Silence) -> dict[str, Any]:
    return {"since": f"{silence.since.astype('datetime64[ms]')}Z", "seconds": silence.seconds, "steps": silence.steps}


def _described(stream: Stream) -> dict[str, Any]:
    return {"rows": stream.rows, "dropped": stream.dropped, "policy": stream.policy.model_dump(mode="json")}
