"""Locations of rows: paths of files and folders, and addresses such as s3://bucket/rows.csv, all of them paths of Python."""

import re
from pathlib import Path, PosixPath, PurePosixPath
from typing import Annotated, Any, Self
from urllib.parse import unquote, urlsplit

from pydantic import ValidatorFunctionWrapHandler, WrapValidator

SCHEMES = ("s3", "gs", "https", "http", "file")
"""Beginnings of addresses that users may give, before `://`."""

_ADDRESS = re.compile(r"(https?|s3|gs|memory):/+", re.IGNORECASE)
_FILE = re.compile(r"file:/+(?:localhost/)?", re.IGNORECASE)
_OTHER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class Address(PosixPath):
    """The address of a file or folder in an object store or on the web.

    It is a path, so that it can stand wherever one can, with the name, the ending and the parent of a path; but `str()` keeps
    both slashes after the colon and everything else as it was written. It must not be opened: `plain_table` fetches its content.
    """

    _text: str

    def __new__(cls, *parts: Any) -> Self:
        """Returns the address; a part may have lost a slash, as in `s3:/bucket`."""
        self = super().__new__(cls, *parts)
        if len(parts) == 1:
            self._text = _ADDRESS.sub(lambda match: f"{match[1].lower()}://", str(parts[0]), count=1)
        return self

    def __str__(self) -> str:
        written: str | None = getattr(self, "_text", None)
        return written or _ADDRESS.sub(lambda match: f"{match[1].lower()}://", super().__str__(), count=1)

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (str(self),)

    @property
    def scheme(self) -> str:
        """Beginning of the address before the colon, in small letters."""
        return str(self).partition(":")[0]


def location(path: str | Path) -> Path:
    """Returns the path of a file or folder, or its address.

    An address that lost a slash on its way through `pathlib.Path` has it again; `file://` becomes the path that it stands for.

    Example:
        >>> str(location("s3://bucket/rows.csv")), str(location("file:///data/rows.csv"))
        ('s3://bucket/rows.csv', '/data/rows.csv')
    """
    text = str(path)
    if isinstance(path, Address) or _ADDRESS.match(text):
        return Address(text)
    if match := _FILE.match(text):
        return Path("/" + unquote(text[match.end() :]))
    return Path(path)


def file_name(path: Path) -> str:
    """Returns the last part of a path, or of an address without its query; empty if there is none."""
    if isinstance(path, Address):
        return PurePosixPath(unquote(urlsplit(str(path)).path)).name
    return path.name or path.resolve().name


def is_unknown_scheme(path: Path) -> bool:
    """Returns whether a path looks like an address that cannot be read."""
    return not isinstance(path, Address) and _OTHER.match(str(path)) is not None


def _field(value: Any, is_path: ValidatorFunctionWrapHandler) -> Path:
    is_path(value)
    return location(value)


FilePath = Annotated[Path, WrapValidator(_field)]
"""Type of a field that holds a path or an address."""
