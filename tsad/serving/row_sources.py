"""Sources of rows: rows of production, on which thresholds are fitted, are kept apart from those of clicks and trials."""

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsad.arrays import Values
from tsad.errors import shown
from tsad.serving.access import Bearer
from tsad.serving.errors import RequestError

PRODUCTION, TRIAL = "production", "trial"
"""Source of the rows of streams, and of those of `/api/score`, unless the request names another."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
_CELLS = 4_000_000
"""Cells of one source that are kept at most: a wide table keeps fewer rows than a narrow one."""


@dataclass(frozen=True)
class SourceRules:
    """Rules about who may feed which source.

    Attributes:
        production: Names of the tokens whose rows may count as production; empty for all that may score.
    """

    production: tuple[str, ...] = ()

    def source(self, stated: str | None, bearer: Bearer, usual: str) -> str:
        """Returns the source of the rows of a request.

        Args:
            stated: Source that the request names; None if it names none.
            bearer: Sender of the request.
            usual: Source of such rows if they name none.

        Raises:
            RequestError: if the name is none, or the bearer may not feed that source.
        """
        may_produce = not self.production or bearer.token in self.production
        if stated is None:
            return usual if usual != PRODUCTION or may_produce else (bearer.token or TRIAL)
        if not _NAME.fullmatch(stated):
            raise RequestError(
                400, f"source must be a name of letters, digits, dots and dashes, at most 64, but got {shown(stated)}"
            )
        if stated == PRODUCTION and not may_produce:
            raise RequestError(
                403,
                f"rows of the source {PRODUCTION!r} need a token that --production names, but this one is "
                f"{bearer.token or 'none'}; name another source",
            )
        return stated


@dataclass(eq=False)
class RowBuffer:
    """The rows of one source that were scored lately, oldest first.

    Attributes:
        most: Rows that are kept at most, and scores.
        rows: Rows in parts, (n, F) each.
        scores: Scores that became known with them, in parts.
        flags: Whether those were flagged, in parts.
    """

    most: int
    rows: deque[Values] = field(default_factory=deque)
    scores: deque[NDArray[np.float64]] = field(default_factory=deque)
    flags: deque[NDArray[np.bool_]] = field(default_factory=deque)

    def take(self, rows: Values, scores: NDArray[np.float64], flags: NDArray[np.bool_]) -> None:
        """Takes (n, F) rows and the (m,) scores that are known, with their flags."""
        for saved, new in ((self.rows, rows), (self.scores, scores), (self.flags, flags)):
            _append(saved, new, self.most)

    def now(self, features: int) -> tuple[Values, NDArray[np.float64], NDArray[np.bool_]]:
        """Returns (n, features) rows, (m,) scores and (m,) flags."""
        rows = np.concatenate([*self.rows]) if self.rows else np.empty((0, features))
        scores = np.concatenate([np.empty(0), *self.scores])
        return rows, scores, np.concatenate([np.empty(0, bool), *self.flags])

    def described(self, name: str) -> dict[str, Any]:
        """Returns what `/api/drift` lists about a source."""
        scored, flagged = sum(map(len, self.scores)), sum(int(part.sum()) for part in self.flags)
        alert_rate = flagged / scored if scored else None
        return {"name": name, "rows": sum(map(len, self.rows)), "scored": scored, "alert_rate": alert_rate}


def rows_to_keep(most: int, least: int, features: int) -> int:
    """Returns how many rows of so many features are kept: `most`, or fewer of a wide table, but never less than `least`."""
    return max(least, min(most, _CELLS // max(1, features)))


def _append(saved: deque[NDArray[Any]], new: NDArray[Any], most: int) -> None:
    """Appends, and lets go of what is not needed for the last `most`."""
    saved.append(new[-most:].copy())  # a view would keep the rest in memory
    while sum(map(len, saved)) - len(saved[0]) >= most:
        saved.popleft()
