"""Ages of streams since rows arrived: counted while the service runs, by no file's time and no wall clock."""

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tsad.errors import SpecError
from tsad.spec import Spec, parse

_SECONDS = 10.0
"""After which the file is written although no rows came."""

_log = logging.getLogger(__name__)

AGES = "ages.json"
"""Name of the file of ages in the folder of the streams."""


class _Arrival(Spec):
    """Arrival of the newest rows of a stream.

    Attributes:
        seconds: Age of the service at that moment.
        moment: The moment in seconds since 1970, for people only.
    """

    seconds: float
    moment: float


class _Ages(Spec):
    """Content of the file.

    Attributes:
        seconds: Seconds for which services of this state have run, all together.
        arrivals: Newest arrival by the id of the stream.
    """

    seconds: float
    arrivals: dict[str, _Arrival]


class StreamAges:
    """Counts the time since rows arrived, in seconds for which the service ran.

    A clock that is set, files that are copied or touched, and the time for which the service was down change no age. After a
    kill, up to one interval of `save` is forgotten; after the loss of the file, all ages begin anew.

    Args:
        path: File of the ages, which outlives the service.
        clock: Returns seconds that only ascend while the process lives, from any beginning.
        wall: Returns the present time in seconds since 1970, for people only.
    """

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._path, self._clock, self._wall = path, clock, wall
        self._lock = threading.Lock()
        self._failed = self._is_changed = False
        ages = self._read()
        self._arrivals = dict(ages.arrivals)
        self._offset = ages.seconds - clock()
        self._saved = ages.seconds

    def arrive(self, number: str) -> None:
        """Notes that rows of a stream arrive now, or that it is opened."""
        with self._lock:
            self._arrivals[number] = _Arrival(seconds=self._now(), moment=self._wall())
            self._is_changed = True

    def seconds(self, number: str) -> float:
        """Returns the age of a stream's newest rows; one that nobody has noted begins now."""
        with self._lock:
            now = self._now()
            arrival = self._arrivals.setdefault(number, _Arrival(seconds=now, moment=self._wall()))
            return max(0.0, now - arrival.seconds)

    def moment(self, number: str) -> float:
        """Returns when they came, in seconds since 1970 by the clock of then."""
        with self._lock:
            arrival = self._arrivals.get(number)
            return self._wall() if arrival is None else arrival.moment

    def forget(self, number: str) -> None:
        """Forgets a stream."""
        with self._lock:
            self._arrivals.pop(number, None)

    def save(self, *, due: bool = False) -> None:
        """Writes the file, whole or not at all; what cannot be written is logged once.

        Args:
            due: Write only what has changed, or is ten seconds old.
        """
        with self._lock:
            if due and not self._is_changed and self._now() - self._saved < _SECONDS:
                return
            self._is_changed, self._saved = False, self._now()
            content = _Ages(seconds=self._now(), arrivals=self._arrivals).model_dump_json()
        try:
            whole = self._path.with_name(f".{self._path.name}")
            whole.write_text(content, encoding="utf-8")
            whole.replace(self._path)
        except OSError as error:
            if not self._failed:
                _log.warning("the ages of streams cannot be stored: %s", error)
            self._failed = True
        else:
            self._failed = False

    def _now(self) -> float:
        return self._offset + self._clock()

    def _read(self) -> _Ages:
        try:
            return parse(_Ages, json.loads(self._path.read_text(encoding="utf-8")), str(self._path))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, SpecError, RecursionError, TypeError, AttributeError) as error:
            _log.warning("%s: ages of streams cannot be read (%s); all begin anew", self._path, error)
        return _Ages(seconds=0.0, arrivals={})
