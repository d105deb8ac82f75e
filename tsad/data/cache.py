"""The cache: data sets that were loaded before, so that the second load of one is a single read."""

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
_STALE_SECONDS = 3600.0
"""Age from which an unfinished file is taken for that of a process that was killed."""


class Loadable(Protocol):
    """A data spec, which can load the data set that it describes."""

    def load(self, folder: Path) -> DataSet:
        """Returns the data set; `folder` is the data folder."""
        ...

    def model_dump_json(self) -> str:
        """Returns the settings of the spec, which together with the content of its files decide the data set."""
        ...


@runtime_checkable
class FromFiles(Protocol):
    """A data spec that reads files, and whose data sets are therefore cached."""

    def sources(self, folder: Path) -> tuple[Path, ...]:
        """Returns the files that `load` reads; raises `DataError` if they do not exist."""
        ...


@dataclass(frozen=True)
class Cache:
    """A folder of loaded data sets, which any number of processes may share.

    An entry is named by a hash of the spec, the content of its source files and the code of `tsad/data`, so no entry is ever out
    of date. It begins with a hash of its own content, and is written under a temporary name and then renamed, so a reader sees
    all of it or nothing even if the writer is killed. Nothing in it is unpickled.

    Attributes:
        folder: Folder of the entries, created when the first one is written.
        size: Bytes that all entries may take together; the least recently used ones are removed. 0 turns the cache off.
    """

    folder: Path
    size: int

    def load(self, spec: Loadable, data_dir: Path) -> DataSet:
        """Returns what `spec.load(data_dir)` returns, from the cache if it has an entry for it.

        Data sets that are generated, not read from files, are not cached. A damaged entry and a cache that cannot be written
        are logged as warnings.
        """
        if not self.size or not isinstance(spec, FromFiles):
            return spec.load(data_dir)
        sources = spec.sources(data_dir)
        if not all(source.is_file() for source in sources):
            return spec.load(data_dir)  # which says what is missing
        path = self._entry(spec, sources)
        cached = _read(path)
        if cached is not None:
            for defect in cached.defects:  # as the loader does
                named = defect.startswith(f"{cached.source}: ")
                _logger.warning("%s", defect if named else f"{cached.source}: {defect}")
            return cached
        data = spec.load(data_dir)
        if self._entry(spec, sources) == path:  # no file changed meanwhile
            self._write(path, _packed(data))
        return data

    def entries(self) -> list[tuple[Path, os.stat_result]]:
        """Returns the files of the cache with their status, the least recently used first."""
        return sorted(_files(self.folder), key=lambda file: file[1].st_mtime_ns)

    def clear(self) -> tuple[int, int]:
        """Removes every file of the cache; returns the number of files and their bytes."""
        entries = self.entries()
        for path, _ in entries:
            path.unlink(missing_ok=True)
        return len(entries), sum(stat.st_size for _, stat in entries)

    def _entry(self, spec: Loadable, sources: tuple[Path, ...]) -> Path:
        content = [(str(path), self._content(path)) for path in sources]
        described = [type(spec).__name__, spec.model_dump_json(), content, _code()]
        return self.folder / f"{hashlib.sha256(json.dumps(described).encode()).hexdigest()}{_ENTRY}"

    def _content(self, path: Path) -> str:
        """Returns the hash of a file's content; the file is read only if its path, size or time of change are new."""
        try:
            stat = path.stat()
            version = [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
            hash_file = self.folder / f"{hashlib.sha256(json.dumps(version).encode()).hexdigest()}.hash"
            if (stored := _stored_hash(hash_file)) is not None:
                return stored
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read ({error.strerror}); see that it is there and may be read"
            ) from None
        self._write(hash_file, digest.encode())
        return digest

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
        entries = self.entries()
        total = sum(stat.st_size for _, stat in entries)
        for path, stat in entries:
            is_stale = path.suffix == ".unfinished" and time.time() - stat.st_mtime > _STALE_SECONDS
            if total > self.size or is_stale:
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
    """Returns a hash of the code that makes data sets of files: all of `tsad/data`, and the series."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in _code_files())).hexdigest()


def _code_files() -> list[Path]:
    return [*sorted(Path(__file__).parent.rglob("*.py")), Path(str(series_module.__file__))]


def _stored_hash(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):  # not there, or not any more: another process may clear at any moment
        return None
    if len(text) != 2 * _DIGEST:
        return None
    _mark_used(path)
    return text


def _mark_used(path: Path) -> None:
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
    _mark_used(path)
    return _unpacked(body)


def _packed(data: DataSet) -> bytes:
    """Returns the data as one file: its hash, then safetensors, in which everything but arrays is one array of JSON."""
    arrays: dict[str, NDArray[Any]] = {}
    metadata: dict[str, Any] = {}
    for field, value in _fields(data):
        if isinstance(value, np.ndarray):
            dated = value.dtype.kind == "M"  # which safetensors does not support
            metadata |= {field: str(value.dtype)} if dated else {}
            arrays[field] = np.ascontiguousarray(value.view(np.int64) if dated else value)
        else:
            metadata[field] = _adapter(field).dump_python(value, mode="json")
    body = save({**arrays, "about": np.frombuffer(json.dumps(metadata).encode(), np.uint8)})
    return hashlib.sha256(body).digest() + body


def _unpacked(body: bytes) -> DataSet:
    arrays = load(body)
    metadata = json.loads(arrays.pop("about").tobytes())
    values: dict[str, Any] = {}
    for field in {*arrays, *metadata}:
        if field not in arrays:
            values[field] = _adapter(field).validate_json(json.dumps(metadata[field]))
        else:
            values[field] = arrays[field].view(metadata[field]) if field in metadata else arrays[field]
    series: dict[str, Any] = {
        part: Series(**{name: values.pop(f"{part}.{name}") for name in _names(Series)}) for part in _PARTS
    }
    return DataSet(**series, **values)


def _fields(data: DataSet) -> Iterator[tuple[str, Any]]:
    for part in _PARTS:
        yield from ((f"{part}.{name}", getattr(getattr(data, part), name)) for name in _names(Series))
    yield from ((name, getattr(data, name)) for name in _names(DataSet) if name not in _PARTS)


def _names(cls: type[Series] | type[DataSet]) -> list[str]:
    return [field.name for field in fields(cls)]


@cache
def _adapter(path: str) -> TypeAdapter[Any]:
    """Returns the adapter that turns a field, such as `name` or `train.features`, to JSON and back."""
    part, _, name = path.rpartition(".")
    hint = get_type_hints(Series if part else DataSet)[name]
    return TypeAdapter(type(None) if name in {"labels", "times"} else hint)
