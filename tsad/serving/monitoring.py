"""The rows that were scored lately: whether they have drifted, and a threshold fitted to their scores."""

import json
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsad.arrays import Values
from tsad.drift import Profile, Recalibration, drift, recalibrated
from tsad.errors import DataError, DetectorError, SpecError, shown
from tsad.serving.errors import RequestError
from tsad.serving.model_detectors import CalibratedDetector
from tsad.serving.row_sources import PRODUCTION, RowBuffer, rows_to_keep
from tsad.serving.served_model import described
from tsad.spec import Spec, parse
from tsad.thresholds import FittedThreshold

_log = logging.getLogger(__name__)

MOST, LEAST = 20_000, 100
"""Rows of a source that are kept at most, and scores that a threshold is fitted to at least."""
_SOURCES = 8
"""Sources whose rows are kept; the one that got no row for longest makes room, but never production."""

THRESHOLD = "threshold.json"
"""Name of the file that holds a recalibrated threshold."""

OnRecalibration = Callable[[Recalibration], None]
"""Callback that gets the record of each recalibration."""


class _StoredThreshold(Spec):
    """A threshold that took the place of the model's own.

    Attributes:
        digest: Digest of the detector that the threshold belongs to.
        threshold: Threshold in use.
        before: Earlier threshold that can be restored; None if it was restored.
    """

    digest: str
    threshold: FittedThreshold
    before: FittedThreshold | None = None


class RecentRows:
    """The rows that `/api/score` and streams scored lately, oldest first, each source for itself.

    Args:
        served: Detector that scored them.
        folder: Folder of the log and of the threshold, which outlive the service; made when something is written.
        on_recalibration: Callback that gets the record of each recalibration.
        share: Number of detectors whose rows share the room of one.
    """

    def __init__(
        self, served: CalibratedDetector, folder: Path, on_recalibration: OnRecalibration, share: int = 1
    ) -> None:
        self._served = served
        self._folder = folder
        self._on_recalibration = on_recalibration
        self._profile = Profile.load(served.folder)
        self._digest = served.saved().digest
        self._lock = threading.Lock()
        self._most = rows_to_keep(MOST, LEAST, share * len(served.detector.scorer.features))
        self._sources = {PRODUCTION: RowBuffer(self._most)}
        self._before: FittedThreshold | None = None
        self._restore()

    def take(
        self, rows: Values, scores: NDArray[np.float64], flags: NDArray[np.bool_], source: str = PRODUCTION
    ) -> None:
        """Takes (n, F) rows and the (m,) scores that became known with them, NaN where there is none, with their flags."""
        is_known, scaler = ~np.isnan(scores), self._served.detector.scorer.scaler
        with self._lock:
            buffer = self._sources.pop(source, None) or RowBuffer(self._most)
            buffer.take(scaler.rounded(rows), scores[is_known], flags[is_known])
            self._sources[source] = buffer  # the last used comes last
            if len(self._sources) > _SOURCES:
                del self._sources[next(name for name in self._sources if name != PRODUCTION)]

    def drift(self, source: str = PRODUCTION) -> dict[str, Any]:
        """Returns what `/api/drift` answers about a source; raises `RequestError` if no row of it came."""
        with self._lock:
            before = self._before
            sources = [buffer.described(name) for name, buffer in sorted(self._sources.items())]
        return self.compare(source) | {
            "source": source,
            "sources": sources,
            "threshold": described(self._served.detector.threshold),
            "previous_threshold": None if before is None else described(before),
        }

    def scores(self) -> dict[str, NDArray[np.float64]]:
        """Returns the recent scores of each source."""
        with self._lock:
            return {name: np.concatenate([np.empty(0), *buffer.scores]) for name, buffer in self._sources.items()}

    def compare(self, source: str = PRODUCTION) -> dict[str, Any]:
        """Returns the drift of a source; raises `RequestError` if no row of it came."""
        rows, scores, flags = self._now(source)
        if self._profile is not None and len(rows):
            return drift(self._profile, rows, scores, flags).model_dump(mode="json")
        is_known = self._profile is not None
        return {
            "rows": len(rows),
            "state": "unknown",
            "features": [],
            "scores": None,
            "alert_rate": None,
            "expected_alert_rate": None,
            "message": f"no rows of the source {source!r} were scored yet"
            if is_known
            else "the model has no profile.json to compare with",
        }

    def recalibrate(self, source: str = PRODUCTION) -> dict[str, Any]:
        """Fits the threshold to the recent scores of a source, logs that, and returns what `/api/recalibrate` answers.

        Raises:
            DataError: if there are too few scores.
            DetectorError: if the threshold has no rule to be fitted by without labels.
            RequestError: if no row of that source came.
        """
        _, scores, _ = self._now(source)
        with self._lock:
            if len(scores) < LEAST:
                others = ", ".join(name for name in self._sources if name != source) or "none"
                raise DataError(
                    f"a threshold needs at least {LEAST} recent scores, but there are {len(scores)} of the source "
                    f"{source!r}; score rows of it first, or name another one with ?source= (others: {others})"
                )
            after = recalibrated(self._served.detector, scores).threshold
            thresholds = after, self._served.detector.threshold
            return self._put(*thresholds, scores, f"service:{source}").model_dump(mode="json")

    def undo(self) -> dict[str, Any]:
        """Brings back the threshold before the last recalibration, and logs and returns that as one fitted to 0 rows.

        Raises:
            RequestError: if there was no recalibration, or it was undone.
        """
        with self._lock:
            if self._before is None:
                raise RequestError(
                    409, "only the last recalibration can be undone, once, but there is none; recalibrate first"
                )
            return self._put(self._before, None, np.empty(0), "service").model_dump(mode="json")

    def _put(
        self, after: FittedThreshold, before: FittedThreshold | None, scores: NDArray[np.float64], source: str
    ) -> Recalibration:
        """Flags by another threshold from now on, stores both thresholds, and logs and returns the record of the change.

        Raises:
            RequestError: if the change cannot be stored or tracked; all is then as it was.
        """
        path = self._folder / THRESHOLD
        stored = path.read_bytes() if path.is_file() else None
        thresholds = (self._served.detector.threshold, after)
        record = Recalibration.of(self._served.uri, source, thresholds, scores)
        saved = _StoredThreshold(digest=self._digest, threshold=after, before=before)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _replace(path, saved.model_dump_json().encode())
            self._on_recalibration(record)
            record.write(self._folder)
        except Exception as error:  # whatever MLflow raises for a server that is away, or the disk
            _log.exception("a recalibration was taken back")
            _put_back(path, stored)
            reason = "the state folder" if isinstance(error, OSError) else "the tracking server"
            raise RequestError(
                503,
                f"a recalibration must be stored and tracked, but {reason} cannot be written; the threshold is as it was",
                {"Retry-After": "60"},
            ) from None
        self._served.recalibrate(after)
        self._before = before
        return record

    def _now(self, source: str = PRODUCTION) -> tuple[Values, NDArray[np.float64], NDArray[np.bool_]]:
        with self._lock:
            buffer = self._sources.get(source)
            if buffer is None:
                names = ", ".join(sorted(self._sources))
                raise RequestError(404, f"there are no rows of a source {shown(source)}; there are {names}")
            return buffer.now(len(self._served.detector.scorer.features))

    def _restore(self) -> None:
        """Takes up the threshold of before the service ended, if it was of the same detector."""
        path = self._folder / THRESHOLD
        try:
            saved = parse(_StoredThreshold, json.loads(path.read_text(encoding="utf-8")), str(path))
        except FileNotFoundError:
            return
        except (OSError, ValueError, SpecError, RecursionError) as error:
            raise DetectorError(
                f"{path}: must be a recalibrated threshold, but {error}; remove it to go on with the model's own"
            ) from None
        if saved.digest == self._digest:
            self._served.recalibrate(saved.threshold)
            self._before = saved.before


def _replace(path: Path, content: bytes) -> None:
    """Writes a file completely or not at all."""
    whole = path.with_name(f".{path.name}")
    whole.write_bytes(content)
    whole.replace(path)


def _put_back(path: Path, content: bytes | None) -> None:
    """Makes a file what it was, None for none."""
    with suppress(OSError):
        path.unlink(missing_ok=True) if content is None else _replace(path, content)
