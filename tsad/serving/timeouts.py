"""Time limits of requests, answers and idle connections."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from tsad.errors import TsadError, shown


@dataclass(frozen=True)
class Timeouts:
    """Seconds that a client, or an answer, may take.

    Attributes:
        head: In which the head of a request must have come, from its first byte or from the connection on.
        body: In which, after that, its body must have come.
        answer: In which, after that, the answer must have begun.
        fetch: In which a client must fetch 64 kB of an answer that waits for it.
        idle: After which a connection without a request is closed.
    """

    head: float = 10.0
    body: float = 30.0
    answer: float = 60.0
    fetch: float = 15.0
    idle: float = 15.0

    @classmethod
    def of(cls, stated: Mapping[str, float]) -> "Timeouts":
        """Returns the usual timeouts but those that a user stated; raises `TsadError` if one is unknown or no time.

        >>> Timeouts.of({"idle": 60}).idle
        60.0
        """
        names = [field.name for field in fields(cls)]
        for name, seconds in stated.items():
            if name not in names:
                raise TsadError(f"a timeout is one of {', '.join(names)}, but got {shown(name)}")
            if not (math.isfinite(seconds) and seconds > 0):
                raise TsadError(f"a timeout must be more than 0 seconds, but {name} is {seconds:g}")
        return cls(**{name: float(seconds) for name, seconds in stated.items()})
