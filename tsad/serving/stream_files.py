"""Files of a stream beside its state: its origin, and the threshold that it flags by; and its move to another version."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from tsad.detector.detector import Detector
from tsad.errors import TsadError
from tsad.serving.row_sources import PRODUCTION
from tsad.serving.stream_tail import StreamTail
from tsad.spec import Spec
from tsad.streaming import ScoredRows, Stream, storage
from tsad.thresholds import FittedThreshold
from tsad.thresholds.threshold import GivenThreshold

_THRESHOLD, _ORIGIN = "threshold.json", "origin.json"
_FITTED: TypeAdapter[FittedThreshold] = TypeAdapter(FittedThreshold)


class StreamOrigin(Spec):
    """Origin of a stream.

    Attributes:
        source: Source of its rows.
        model: Name of the registered model whose versions it follows; None if it stays with its detector.
        features: Digest of the features of a row.
        entity: Entity of a fleet that its rows are of; None if the model is no fleet.
    """

    source: str = PRODUCTION
    model: str | None = None
    features: str = ""
    entity: str | None = None

    @classmethod
    def of(cls, source: str, model: str | None, features: Sequence[str], entity: str | None = None) -> "StreamOrigin":
        """Returns the origin of a stream of rows with these features."""
        return cls(source=source, model=model, features=_digest(features), entity=entity)

    def follows(self, model: str | None, features: Sequence[str]) -> bool:
        """Returns whether a stream moves to a version of a model with these features."""
        return self.model is not None and self.model == model and self.features == _digest(features)


def make_folder(folder: Path) -> None:
    """Makes the folder of the streams if it is absent; raises `TsadError` if there is anything but a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TsadError(
            f"{folder}: must be a folder that the service can write, but {error.strerror}; move it away"
        ) from None


def read_origin(folder: Path) -> StreamOrigin:
    """Returns the origin of a stream; older streams have none, and stay with their detector."""
    try:
        content = (folder / _ORIGIN).read_bytes()
    except FileNotFoundError:
        return StreamOrigin()
    return StreamOrigin.model_validate_json(content)


def write_origin(folder: Path, origin: StreamOrigin) -> None:
    """Writes the origin of a stream."""
    (folder / _ORIGIN).write_text(origin.model_dump_json(), encoding="utf-8")


def write_threshold(folder: Path, detector: Detector, *, moved: bool = False) -> None:
    """Writes the threshold that a stream flags by from now on; a kill leaves the one of before or this one.

    Args:
        folder: Folder of the stream.
        detector: Detector with the threshold.
        moved: Whether the stream has moved to this detector, and may have to move back.
    """
    path = _moved_threshold(folder, detector) if moved else folder / _THRESHOLD
    whole = path.with_name(f".{path.name}")
    whole.write_text(detector.threshold.model_dump_json(), encoding="utf-8")
    whole.replace(path)


def load_stream(
    folder: Path, detector: Detector, origin: StreamOrigin, model: str | None
) -> tuple[Stream, ScoredRows | None]:
    """Returns the stream of a folder, and the scores that it owes: None unless it has just moved to this detector.

    Nothing is written: a move that is not saved happens again.

    Args:
        folder: Folder of the stream.
        detector: Detector that is in service.
        origin: Origin of the stream.
        model: Name of the registered model that is in service; None for a model that is not registered.

    Raises:
        DetectorError: if the state is damaged, or of another detector that the stream does not follow.
        OSError: if a file is missing.
    """
    note, arrays = storage.read(folder)
    moved = _moved_threshold(folder, detector)
    path = moved if moved.exists() else folder / _THRESHOLD
    own = replace(detector, threshold=_FITTED.validate_json(path.read_bytes()))
    features = detector.scorer.features
    if note.detector == own.digest or not origin.follows(model, features):
        return Stream.load(folder, own), None
    pending = arrays["pending"][arrays["pending"] >= 0]
    returned = int(pending[0]) if len(pending) else note.rows
    tail = StreamTail(folder, len(features)).rows(note.rows, features)
    return Stream.following(detector, note, returned, tail)


def _moved_threshold(folder: Path, detector: Detector) -> Path:
    """Returns the file of the threshold of a stream that has moved to a detector, whatever its threshold is now."""
    scorer = replace(detector, threshold=GivenThreshold(value=0.0)).digest
    return folder / f"threshold-{scorer[:16]}.json"


def _digest(features: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(features)).encode()).hexdigest()[:16]
