"""The cache: loaded data by what it was made of, so that the second load is a read."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Protocol, get_type_hints, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors.numpy import load, save

from tsad import series as series_module
from tsad.data.dataset import DataSet
from tsad.errors import DataError
from tsad.series import Series

_logger = logging.getLogger(__name__)

_ENTRY, _PARTS = ".data", ("train", "test")
_DIGEST = hashlib.sha256().digest_size
_ABANDONED = 3600.0
"""Seconds after which an unfinished file must be that of a process that was killed."""


class Loadable(Protocol):
    """What a YAML says of data."""

    def load(self, folder: Path) -> DataSet:
        """Returns the rows."""
        ...

    def model_dump_json(self) -> str:
        """Returns everything that decides them, but for the content of files."""
        ...


@runtime_checkable
class FromFiles(Protocol):
    """Data that takes long enough to read from files."""

    def sources(self, folder: Path) -> tuple[Path, ...]:
        """Returns the files that are read; raises `DataError` if they are not there."""
        ...


@dataclass(frozen=True)
class Cache:
    """A folder of loaded data, shared by any number of processes.

    An entry is named by a hash of the spec, the content of its source files and the code of `tsad/data`, so nothing in it
    is ever out of date. It begins with a hash of its own content, and is written under another name and then renamed, so a
    reader sees all of it or nothing, whoever was killed. Nothing in it is unpickled.

    Attributes:
        folder: Made when it is first written to.
        size: Bytes that entries may take together; those not used for longest go first. 0 turns the cache off.
    """

    folder: Path
    size: int

    def load(self, spec: Loadable, data_dir: Path) -> DataSet:
        """Returns what `spec.load(data_dir)` returns, from the cache if it is there; says so if an entry is damaged.

        Data that is made, not read, is not kept. A cache that cannot be written is a warning.
        """
        if not self.size or not isinstance(spec, FromFiles):
            return spec.load(data_dir)
        sources = spec.sources(data_dir)
        if not all(source.is_file() for source in sources):
            return spec.load(data_dir)  # which says what is missing
        path = self._entry(spec, sources)
        found = _read(path)
        if found is not None:
            for defect in found.defects:  # as the loader does
                named = defect.startswith(f"{found.source}: ")
                _logger.warning("%s", defect if named else f"{found.source}: {defect}")
            return found
        found = spec.load(data_dir)
        if self._entry(spec, sources) == path:  # no file changed meanwhile
            self._write(path, _packed(found))
        return found

    def entries(self) -> list[tuple[Path, os.stat_result]]:
        """Returns the files of the cache, those not used for longest first."""
        return sorted(_files(self.folder), key=lambda file: file[1].st_mtime_ns)

    def clear(self) -> tuple[int, int]:
        """Removes all that the cache holds; returns the number of files and their bytes."""
        found = self.entries()
        for path, _ in found:
            path.unlink(missing_ok=True)
        return len(found), sum(stat.st_size for _, stat in found)

    def _entry(self, spec: Loadable, sources: tuple[Path, ...]) -> Path:
        content = [(str(path), self._content(path)) for path in sources]
        described = [type(spec).__name__, spec.model_dump_json(), content, _code()]
        return self.folder / f"{hashlib.sha256(json.dumps(described).encode()).hexdigest()}{_ENTRY}"

    def _content(self, path: Path) -> str:
        """Returns the hash of a file's content, which is read only if path, size or time of change are new."""
        try:
            stat = path.stat()
            seen = [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
            note = self.folder / f"{hashlib.sha256(json.dumps(seen).encode()).hexdigest()}.hash"
            if (known := _noted(note)) is not None:
                return known
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read ({error.strerror}); see that it is there and may be read"
            ) from None
        self._write(note, found.encode())
        return found

    def _write(self, path: Path, content: bytes) -> None:
        if len(content) > self.size:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self.folder, suffix=".unfinished", delete=False) as file:
                file.write(content)
            os.replace(file.name, path)  # noqa: PTH105 (atomic, also over a file that is there)
            self._make_room()
        except OSError as error:
            _logger.warning("%s: cannot be written (%s), so the data will be read anew next time", path, error.strerror)

    def _make_room(self) -> None:
        held = self.entries()
        total = sum(stat.st_size for _, stat in held)
        for path, stat in held:
            abandoned = path.suffix == ".unfinished" and time.time() - stat.st_mtime > _ABANDONED
            if total > self.size or abandoned:
                path.unlink(missing_ok=True)
                total -= stat.st_size


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.glob("*"):
        if path.suffix in {_ENTRY, ".hash", ".unfinished"}:
            try:
                yield path, path.stat()
            except FileNotFoundError:  # another process made room
                continue


@cache
def _code() -> str:
    """Returns a hash of the code that makes data of files."""
    paths = [*sorted(Path(__file__).parent.glob("*.py")), Path(str(series_module.__file__))]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def _noted(note: Path) -> str | None:
    try:
        known = note.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):  # not there, or not any more: another process may clear at any moment
        return None
    if len(known) != 2 * _DIGEST:
        return None
    _use(note)
    return known


def _use(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:
        _logger.debug("%s: its time cannot be set", path)


def _read(path: Path) -> DataSet | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, body = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        _logger.warning("%s: this entry of the cache is damaged; the data is read anew", path)
        return None
    _use(path)
    return _unpacked(body)


def _packed(data: DataSet) -> bytes:
    """Returns the data as one file: its hash, then safetensors, in which everything but arrays is one array of JSON."""
    arrays: dict[str, NDArray[Any]] = {}
    about: dict[str, Any] = {}
    for place, value in _leaves(data):
        if isinstance(value, np.ndarray):
            dated = value.dtype.kind == "M"  # which safetensors does not know
            about |= {place: str(value.dtype)} if dated else {}
            arrays[place] = np.ascontiguousarray(value.view(np.int64) if dated else value)
        else:
            about[place] = _adapter(place).dump_python(value, mode="json")
    body = save({**arrays, "about": np.frombuffer(json.dumps(about).encode(), np.uint8)})
    return hashlib.sha256(body).digest() + body


def _unpacked(body: bytes) -> DataSet:
    arrays = load(body)
    about = json.loads(arrays.pop("about").tobytes())
    held: dict[str, Any] = {}
    for place in {*arrays, *about}:
        if place not in arrays:
            held[place] = _adapter(place).validate_json(json.dumps(about[place]))
        else:
            held[place] = arrays[place].view(about[place]) if place in about else arrays[place]
    series: dict[str, Any] = {
        part: Series(**{name: held.pop(f"{part}.{name}") for name in _names(Series)}) for part in _PARTS
    }
    return DataSet(**series, **held)


def _leaves(data: DataSet) -> Iterator[tuple[str, Any]]:
    for part in _PARTS:
        yield from ((f"{part}.{name}", getattr(getattr(data, part), name)) for name in _names(Series))
    yield from ((name, getattr(data, name)) for name in _names(DataSet) if name not in _PARTS)


def _names(kind: type[Series] | type[DataSet]) -> list[str]:
    return [field.name for field in fields(kind)]


@cache
def _adapter(place: str) -> TypeAdapter[Any]:
    """Returns what turns the field at a place to JSON and back."""
    part, _, name = place.rpartition(".")
    hint = get_type_hints(Series if part else DataSet)[name]
    return TypeAdapter(type(None) if name in {"labels", "times"} else hint)
