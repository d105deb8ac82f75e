"""The state of a stream on disk: one file, written whole or not at all."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import safetensors
import torch
from numpy.typing import NDArray

from tsad.errors import DetectorError, SpecError
from tsad.spec import Spec, parse
from tsad.streaming.policy import StreamPolicy
from tsad.training.checkpoints import save_weights

STATE = "stream.safetensors"

Arrays = Mapping[str, NDArray[Any]]


class Note(Spec):
    """Description that is stored beside the arrays of a stream.

    Attributes:
        format: Name of the file format.
        detector: Digest of the detector.
        policy: Policy of the stream.
        threshold: What of the threshold has moved since it was fitted.
        seen: Rows of the present segment.
        rows: Pushed and kept.
        dropped: Late rows.
        latest: Nanoseconds since 1970 of the last row that had a time.
    """

    format: Literal["tsad-stream-1"] = "tsad-stream-1"
    detector: str
    policy: StreamPolicy
    threshold: dict[str, Any]
    seen: int
    rows: int
    dropped: int
    latest: int | None


def write(folder: Path, note: Note, arrays: Arrays) -> None:
    """Writes the one file into `folder`, made if absent; a kill leaves the file that was there before."""
    noted = note.model_dump(mode="json")
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    save_weights(tensors, folder / STATE, {**noted, "checksum": _checksum(noted, arrays)})


def read(folder: Path) -> tuple[Note, dict[str, NDArray[Any]]]:
    """Returns what `write` wrote; raises `DetectorError` if the file is missing, damaged or none of ours."""
    path = folder / STATE
    try:
        with safetensors.safe_open(path, framework="np") as opened:
            noted = json.loads((opened.metadata() or {})["note"])
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a mapping)
        checksum = noted.pop("checksum")
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise DetectorError(f"{path}: must be the state of a stream, but {error}; remove it to begin anew") from None
    if checksum != _checksum(noted, arrays):
        raise DetectorError(f"{path}: must hold what was written, but its checksum differs; remove it to begin anew")
    try:
        return parse(Note, noted, str(path)), arrays
    except SpecError as error:
        raise DetectorError(f"{error}; remove it to begin anew") from None


def _checksum(noted: Mapping[str, Any], arrays: Arrays) -> str:
    digest = hashlib.sha256(json.dumps(noted, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
