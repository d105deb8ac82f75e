"""Kinds of files of rows, told by the first bytes and by the ending of the name."""

import lzma
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Literal

from tsad.data.io.containers.location import Address, file_name

Kind = Literal[
    "text", "parquet", "json lines", "json", "arrow", "array", "arrays", "workbook", "gzip", "bz2", "zstd", "zip"
]
"""Kinds of files: five of one table with columns, two of arrays, workbooks, and four that hold other files."""

ENDINGS: dict[str, Kind] = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".dat"), "text"),
    **dict.fromkeys((".parquet", ".parq", ".pq"), "parquet"),
    **dict.fromkeys((".jsonl", ".ndjson"), "json lines"),
    ".json": "json",
    **dict.fromkeys((".feather", ".arrow"), "arrow"),
    ".npy": "array",
    ".npz": "arrays",
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "workbook"),
    **dict.fromkeys((".gz", ".gzip"), "gzip"),
    ".bz2": "bz2",
    **dict.fromkeys((".zst", ".zstd"), "zstd"),
    ".zip": "zip",
}
"""Kinds by the ending of a name in small letters."""

OUTER = ("gzip", "bz2", "zstd", "zip")
"""Kinds that hold one file of another kind, whose name is that of the file without its ending, or that of the member."""

ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, LookupError, NotImplementedError, RuntimeError, ValueError),
)
"""Errors that a damaged zip archive may end in."""

_COLUMNAR = ("parquet", "arrow", "array", "arrays")
"""Kinds whose columns have types of their own."""

_STARTS: dict[bytes, Kind] = {
    b"\x1f\x8b\x08": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"ARROW1\0\0": "arrow",
    b"\x93NUMPY": "array",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "workbook",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
_BZ2 = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")
_PARQUET = b"PAR1"


def kind_of(file: Path, name: str) -> Kind | None:
    """Returns the kind of a file by its first bytes, or else by the ending of its name; None if neither tells.

    Args:
        file: Path of the file itself.
        name: Name that it goes by, without the endings of what it was unpacked from.

    Raises:
        OSError: if the file cannot be read.
    """
    by_name = ENDINGS.get(Path(name).suffix.lower())
    with file.open("rb") as opened:
        head = opened.read(16)
        opened.seek(max(0, file.stat().st_size - len(_PARQUET)))
        tail = opened.read()
    if head.startswith(_PARQUET) and (by_name != "text" or tail == _PARQUET):
        return "parquet"
    if _BZ2.match(head):
        return "bz2"
    by_content = next((kind for start, kind in _STARTS.items() if head.startswith(start)), None)
    if by_content == "zip":
        return by_name if by_name in {"workbook", "arrays"} else _kind_of_archive(file)
    return by_content or by_name


def _kind_of_archive(file: Path) -> Kind:
    """Returns the kind of a zip archive whatever its name: workbooks and arrays are such archives too."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except ZIP_ERRORS:
        return "zip"
    if any(name.startswith("xl/workbook.") for name in names) or {"mimetype", "content.xml"} <= set(names):
        return "workbook"
    return "arrays" if names and all(name.endswith(".npy") for name in names) else "zip"


def without_endings(name: str) -> tuple[str, Kind | None]:
    """Returns a name without the endings that say how to read the file, and the kind of the innermost one.

    Example:
        >>> without_endings("pump.7.CSV.gz")
        ('pump.7', 'text')
    """
    kind: Kind | None = None
    while (ending := Path(name).suffix.lower()) in ENDINGS and kind in {None, *OUTER}:
        name, kind = name[: -len(ending)], ENDINGS[ending]
    return name, kind


def is_table(path: Path) -> bool:
    """Returns whether a path is that of rows and not of a config: a folder, or a name or address of a kind that is known."""
    name, kind = without_endings(file_name(path))
    if isinstance(path, Address):
        return Path(name).suffix.lower() not in {".yaml", ".yml"}
    return kind is not None or path.is_dir()


def table_name(path: Path) -> str:
    """Returns the name of a table: that of its file, folder or address without the endings that say how to read it.

    Example:
        >>> table_name(Path("data/load.csv.gz"))
        'load'
    """
    name, kind = without_endings(file_name(path))
    if kind is None and not isinstance(path, Address) and not path.is_dir():
        name = Path(name).stem
    return name or "rows"


def beside(path: Path, ending: str) -> Path:
    """Returns the path of a file made from a table: its name with another ending, next to it or, for an address, here."""
    name = f"{table_name(path)}{ending}"
    if isinstance(path, Address):
        return Path(name)
    return (path if path.name else path.resolve()).with_name(name)


def scored_path(path: Path) -> Path:
    """Returns the path of the scored rows of a table.

    It ends in `.scored.parquet` for a folder and for files whose columns have types, otherwise in `.scored.csv`.
    """
    _, kind = without_endings(file_name(path))
    columnar = kind in _COLUMNAR or (not isinstance(path, Address) and path.is_dir())
    return beside(path, f".scored{'.parquet' if columnar else '.csv'}")
