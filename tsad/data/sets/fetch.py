"""One file over HTTP, gone on with where it was cut off."""

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
"""Takes what is being done, the bytes that are done, and those that there are (None if nobody knows)."""

TRIES = 5
"""Tries in a row that bring nothing before it is given up."""
_TIMEOUT = 60.0
_CHUNK = 2**18


def fetch(url: str, target: Path, progress: Progress, *, pause: float = 1.0) -> None:
    """Downloads `url` to `target`, which is there when all of it is.

    What came so far stands beside it as `.part`, with what the server calls this version of the file as `.version`, so that
    the next try, or the next call, goes on from there if the server can (HTTP Range) and still has that version. If it
    cannot, it begins anew.

    Args:
        url: Of http or https.
        target: In a folder that exists.
        progress: Told of every chunk.
        pause: Seconds before the second try; twice as long before each that follows.

    Raises:
        DataError: if the server refuses, cannot be reached, breaks off again and again, or the file cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url}: must begin with http:// or https://; give a path for a file that is here")
    part, idle = target.with_name(f"{target.name}.part"), 0
    while True:
        before = _size(part)
        try:
            _go_on(url, part, progress)
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
                    f"goes on with them; or give --from another address or an archive"
                ) from None
            if idle:
                time.sleep(pause * 2 ** (idle - 1))
        else:
            return


def _go_on(url: str, part: Path, progress: Progress) -> None:
    """Gets the rest of a file, or all of it; raises `OSError` or `HTTPException` if the connection ends too early."""
    start, version = _size(part), _version(part)
    known = version.read_text(encoding="utf-8") if start and version.is_file() else ""
    headers = {"Accept-Encoding": "identity", "User-Agent": "tsad"}
    request = urllib.request.Request(url, headers=headers | _from(start, known))  # noqa: S310 (http or https, see above)
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what we have is longer than what there is
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


def _from(start: int, version: str) -> dict[str, str]:
    """Returns the headers that ask for the bytes from `start` on, if they still are of that version."""
    return {"Range": f"bytes={start}-", "If-Range": version} if start and version else {}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises `DataError` if what is inside cannot write a file: no room, no permission."""
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
