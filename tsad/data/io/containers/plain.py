"""Plain tables: what a source of rows comes to, one CSV or one Parquet file on the disk."""

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from tsad.data.io.containers.annotated import annotated_to_csv, is_annotated
from tsad.data.io.containers.archives import unpack_member, unpack_stream
from tsad.data.io.containers.columns import array_to_parquet, arrays_to_parquet, arrow_to_parquet, folder_to_parquet
from tsad.data.io.containers.json_lines import json_lines_to_csv
from tsad.data.io.containers.json_tables import json_to_csv
from tsad.data.io.containers.kinds import OUTER, Kind, kind_of, without_endings
from tsad.data.io.containers.location import SCHEMES, Address, file_name, is_unknown_scheme, location
from tsad.data.io.containers.options import ContainerOptions
from tsad.data.io.containers.printed import has_name_levels, is_printed, name_levels_to_csv, printed_to_csv
from tsad.data.io.containers.remote import download
from tsad.data.io.containers.workbooks import workbook_to_csv
from tsad.data.io.issues import FatalIssueError, Issues
from tsad.errors import DataError
from tsad.spec import Spec

_DEPTH = 4
"""Files inside of files that are unpacked, at most."""

_NO_TABLE = "a table must be a .csv or .parquet file, or one of the other kinds that the documentation lists"

_CSV = {"separator": ",", "encoding": None, "skip": 0, "header": True, "skip_after_header": 0, "skip_footer": 0}
"""Settings of a CSV file that was written here, whatever those of the source are."""

_SHEET = {name: _CSV[name] for name in ("separator", "encoding")}
"""Those of a sheet, whose lines above and below its table are still there."""

_LEVELS = {name: _CSV[name] for name in ("encoding", "skip", "header", "skip_after_header")}
"""Those of a CSV whose names stood in several lines, which keeps its separator."""

SpecT = TypeVar("SpecT", bound=Spec)


@dataclass(eq=False)
class PlainTable:
    """A table as one file of a kind that is read directly.

    A file that was made here lies in a temporary folder, which is removed with the last reference to this object.

    Attributes:
        file: Path of the file.
        is_text: Whether it is the text of a CSV, and otherwise Parquet.
        fixed: Settings that the source decides, by name.
        repairs: What was assumed, one sentence each.
    """

    file: Path
    is_text: bool = True
    fixed: Mapping[str, Any] = field(default_factory=dict)
    repairs: tuple[str, ...] = ()

    def options(self, options: SpecT) -> SpecT:
        """Returns options by which the file is read: those that are set, except what the source decides itself."""
        return options.model_copy(
            update={name: value for name, value in self.fixed.items() if name in type(options).model_fields}
        )


_open: weakref.WeakValueDictionary[tuple[Any, ...], PlainTable] = weakref.WeakValueDictionary()
_reused: ContextVar[list[PlainTable] | None] = ContextVar("reused", default=None)


@contextmanager
def reuse() -> Iterator[None]:
    """Keeps the temporary files of every table that is read inside, so that reading one again neither unpacks nor downloads."""
    token = _reused.set([])
    try:
        yield
    finally:
        _reused.reset(token)


def plain_table(path: Path, options: ContainerOptions, issues: Issues) -> PlainTable:
    """Returns the table of a file, folder or address as one plain file.

    Text and Parquet files stand for themselves. Everything else is written into a temporary folder, streamed where its form
    permits that, so memory does not grow with it; a workbook has to fit into memory.

    Args:
        path: Path or address; the ending may be in capitals, and the first bytes count more than the ending.
        options: Choice of a sheet; `skip` of a text is read if it is there.
        issues: Receives what was assumed.

    Raises:
        FatalIssueError: if there is no such file, or it holds no table, or more than one.
    """
    path = location(path)
    try:
        layout = tuple(getattr(options, name, None) for name in ("skip", "separator", "header"))
        key = (*_version(path), options.sheet, *layout)
        plain = _open.get(key)
        if plain is None:
            plain = _open[key] = _read_anew(path, options, issues)
    except OSError as error:
        issues.fail(f"cannot be read ({reason(error)})", advice="give the path of a .csv or .parquet file")
    if (tables := _reused.get()) is not None:
        tables.append(plain)
    for repair in plain.repairs:
        issues.add_repair(repair)
    return plain


def reason(error: OSError) -> str:
    """Returns why a file cannot be read, on one line."""
    return error.strerror or " ".join(str(error).split()) or type(error).__name__


def open_plain(path: Path, options: ContainerOptions) -> PlainTable:
    """Returns the table as `plain_table` does, without its reports; raises `DataError`."""
    try:
        return plain_table(path, options, Issues(str(path)))
    except FatalIssueError as error:
        raise DataError(str(error)) from None


def plain_digest(path: Path, options: ContainerOptions) -> str:
    """Returns the SHA-256 digest of a file as it is, or of what a folder or an address comes to; raises `DataError`."""
    file = path if path.is_file() else open_plain(path, options).file
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _version(path: Path) -> tuple[Any, ...]:
    """Returns what changes when a file does; an address is taken for the same while it is open."""
    if isinstance(path, Address) or not path.exists():
        return (str(path),)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(str(file), file.stat()) for file in files]
    return (str(path.resolve()), *((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats))


def _read_anew(path: Path, options: ContainerOptions, issues: Issues) -> PlainTable:
    """Returns the plain table; its temporary folder is there only if it is needed."""
    if path.is_file() and (kind := kind_of(path, path.name)) in {"text", "parquet"}:
        if kind == "parquet" or _is_plain(path, options):
            return PlainTable(path, is_text=kind == "text")
    elif not isinstance(path, Address) and not path.is_file() and not path.is_dir():
        _fail_absent(path, issues)
    folder = Path(tempfile.mkdtemp(prefix="tsad-"))
    try:
        plain = _converted(path, folder, options, issues)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(plain, shutil.rmtree, folder, ignore_errors=True)
    return plain


def _fail_absent(path: Path, issues: Issues) -> NoReturn:
    if is_unknown_scheme(path):
        schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        issues.fail(f"must be a path, or an address that begins with one of {schemes}", advice="download it first")
    if path.exists():
        issues.fail("is neither a file nor a folder", advice="write its rows into a file first")
    if path.suffix and without_endings(path.name)[1] is None:
        issues.fail(_NO_TABLE, advice="rename or convert it")
    issues.fail("cannot be read (No such file)", advice="give the path of a .csv or .parquet file")


def _converted(path: Path, folder: Path, options: ContainerOptions, issues: Issues) -> PlainTable:
    file, name = path, file_name(path)
    if isinstance(path, Address):
        file = download(path, folder, issues)
    if file.is_dir():
        return PlainTable(folder_to_parquet(file, folder, issues), is_text=False)
    depth = 0
    while (kind := _kind(file, name, issues, is_inner=file != path)) in OUTER:
        if (depth := depth + 1) > _DEPTH:
            issues.fail(f"holds files inside of files, more than {_DEPTH} of them", advice="unpack it first")
        unpacked, name = (
            unpack_member(file, folder, issues) if kind == "zip" else unpack_stream(file, kind, name, folder, issues)
        )
        if file.parent == folder:
            file.unlink()
        file = unpacked
    return _table_of(file, kind, folder, options, issues)


def _kind(file: Path, name: str, issues: Issues, *, is_inner: bool) -> Kind:
    """Returns the kind of a file; one that was unpacked or downloaded is a text if nothing tells otherwise."""
    kind = kind_of(file, name) or ("text" if is_inner else None)
    if kind in {None, "text"} and _is_tar(file):
        issues.fail("is a tar archive", advice="unpack it and give the path of one file")
    if kind is None:
        issues.fail(_NO_TABLE, advice="rename or convert it")
    return kind


def _is_tar(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(262)[257:] == b"ustar"


def _is_plain(file: Path, options: ContainerOptions) -> bool:
    """Returns whether a text is read as it is; one with settings that say where its table stands always is."""
    is_set = getattr(options, "separator", None) or getattr(options, "skip", 0) or not getattr(options, "header", True)
    return not is_annotated(file) and (bool(is_set) or not (is_printed(file) or has_name_levels(file)))


def _table_of_text(file: Path, folder: Path, issues: Issues) -> PlainTable:
    if is_annotated(file):
        return PlainTable(annotated_to_csv(file, folder, issues), fixed=_CSV)
    own = issues.like()
    if is_printed(file):
        return PlainTable(printed_to_csv(file, folder, own), fixed=_CSV, repairs=_plain_texts(own))
    return PlainTable(name_levels_to_csv(file, folder, own), fixed=_LEVELS, repairs=_plain_texts(own))


def _plain_texts(issues: Issues) -> tuple[str, ...]:
    """Returns the repairs without the path before them, which is put there again."""
    return tuple(repair.removeprefix(f"{issues.source}: ") for repair in issues.repairs)


_TO_PARQUET: dict[Kind, Callable[[Path, Path, Issues], Path]] = {
    "arrow": arrow_to_parquet,
    "array": array_to_parquet,
    "arrays": arrays_to_parquet,
}


def _table_of(file: Path, kind: Kind, folder: Path, options: ContainerOptions, issues: Issues) -> PlainTable:
    """Returns the plain table of a file that holds no other file."""
    if kind == "parquet" or (kind == "text" and _is_plain(file, options)):
        return PlainTable(file, is_text=kind == "text")
    if kind == "text":
        return _table_of_text(file, folder, issues)
    if not file.stat().st_size:
        issues.fail("is empty", advice="give a file with rows")
    if kind == "json lines":
        return PlainTable(json_lines_to_csv(file, folder, issues), fixed=_CSV)
    if kind == "json":
        return PlainTable(json_to_csv(file, folder, issues), fixed=_CSV)
    if kind == "workbook":
        table, repairs = workbook_to_csv(file, folder, options, issues)
        return PlainTable(table, fixed=_SHEET, repairs=repairs)
    return PlainTable(_TO_PARQUET[kind](file, folder, issues), is_text=False)
