"""Download of one file over HTTP, resumed after an interruption."""

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tsad.errors import DataError

Progress = Callable[[str, int, int | None], None]
"""Takes the current step, the bytes done, and all bytes (None if unknown)."""

TRIES = 5
"""Consecutive tries without a new byte after which the download fails."""

_TIMEOUT = 60.0
"""Seconds without an answer after which a try fails."""

_CHUNK = 2**18
"""Bytes that are read at once."""


def fetch(url: str, target: Path, progress: Progress, *, pause: float = 1.0) -> None:
    """Downloads `url` to `target`, which exists only once it is complete.

    The bytes so far are stored next to it as `.part`, and the name that the server gives to this version of the file as
    `.version`, so that the next try or the next call resumes if the server supports it (HTTP Range) and still has that version.
    Otherwise the download restarts.

    Args:
        url: Address that begins with http:// or https://.
        target: Path of the file, in a folder that exists.
        progress: Callback for every chunk.
        pause: Seconds before the second try; each further pause is twice as long.

    Raises:
        DataError: if the server refuses, cannot be reached, or breaks off repeatedly, or if the file cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url}: must begin with http:// or https://; give a path for a file that is here")
    part, idle = target.with_name(f"{target.name}.part"), 0
    while True:
        before = _size(part)
        try:
            _resume(url, part, progress)
            os.replace(part, target)  # noqa: PTH105 (over a file that is there)
            _version(part).unlink(missing_ok=True)
        except (OSError, http.client.HTTPException) as error:
            refused = (
                isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code not in {408, 416, 429}
            )
            idle = 0 if _size(part) > before else idle + 1
            if refused or idle == TRIES:
                raise DataError(
                    f"{url}: cannot be downloaded ({_reason(error)}); {_size(part):,} bytes are there, and the same command "
                    f"resumes after them; or give --from another address or an archive"
                ) from None
            if idle:
                time.sleep(pause * 2 ** (idle - 1))
        else:
            return


def _resume(url: str, part: Path, progress: Progress) -> None:
    """Downloads the rest of a file, or all of it; raises `OSError` or `HTTPException` if the connection ends too early."""
    start, version = _size(part), _version(part)
    resumed_version = version.read_text(encoding="utf-8") if start and version.is_file() else ""
    headers = {"Accept-Encoding": "identity", "User-Agent": "tsad"}
    headers |= _range_headers(start, resumed_version)
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (http or https, see above)
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is longer than the file of the server
            part.unlink(missing_ok=True)
        raise
    with answer:
        resumed = str(answer.headers["Content-Range"]).startswith(f"bytes {start}-")
        done = start if resumed else 0
        length = answer.headers["Content-Length"]
        total = None if length is None else done + int(length)
        with writing(part):
            file = part.open("ab" if resumed else "wb")
            version.write_text(answer.headers["ETag"] or answer.headers["Last-Modified"] or "", encoding="utf-8")
        with file:
            while chunk := answer.read(_CHUNK):
                with writing(part):
                    file.write(chunk)
                    file.flush()
                done += len(chunk)
                progress("download", done, total)
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)


def _range_headers(start: int, version: str) -> dict[str, str]:
    """Returns headers that ask for the bytes from `start` on, provided that the server still has that version."""
    return {"Range": f"bytes={start}-", "If-Range": version} if start and version else {}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an `OSError` of the block into a `DataError` about the path: no room, or no permission."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); make room, or give another folder by --to"
        ) from None


def _version(part: Path) -> Path:
    return part.with_suffix(".version")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _reason(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return f"the connection ended {error.expected or 0:,} bytes too early"
    return str(getattr(error, "reason", "") or error) or type(error).__name__
