"""Downloads of published data sets into the data folder: complete and checked, or not at all."""

import filecmp
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from tsad.data.sets.fetch import Progress, fetch, writing
from tsad.data.sets.publication import Publication
from tsad.data.sets.published import PUBLICATIONS
from tsad.errors import DataError

_WORK = ".download"


class _File(NamedTuple):
    path: str
    size: int
    open: Callable[[], IO[bytes]]


def download(name: str, origin: str | None, data_dir: Path, progress: Progress) -> str:
    """Puts a published data set into the data folder, and returns a sentence about how its files were checked.

    Everything is unpacked into a temporary folder, checked there, and then moved, so a loader never sees half of a data set.
    Files that are missing in an existing folder are added to it.

    Args:
        name: Name of a data set in `PUBLICATIONS`.
        origin: Path of an archive (.zip) or of a folder with the files, or address of an archive; None for the published one.
        data_dir: Data folder, created if it does not exist.
        progress: Callback that takes the step, the bytes done, and all bytes.

    Raises:
        DataError: if there is no data set of this name, if the origin does not exist or does not contain the published files,
            if an existing file differs from them, or if the folder cannot be written.
    """
    if name not in PUBLICATIONS:
        raise DataError(f"a published data set is one of {', '.join(PUBLICATIONS)}, but got {name!r}; name one of them")
    published = PUBLICATIONS[name]
    if origin is None and published.url is None:
        raise DataError(
            f"{name} is given out through a form: fill it in at {published.page}, then name the file that you received: "
            f"tsad download {name} --from ARCHIVE_OR_FOLDER_OR_ADDRESS"
        )
    origin = origin or str(published.url)
    work = data_dir / _WORK
    with writing(data_dir):
        work.mkdir(parents=True, exist_ok=True)
    archive = work / f"{name}-{zlib.crc32(origin.encode()):08x}.zip"
    fetched = re.match(r"\w+://", origin)
    if fetched:
        fetch(origin, archive, progress)
    try:
        with tempfile.TemporaryDirectory(dir=work) as staged:
            _copy(archive if fetched else Path(origin), published, Path(staged, published.folder), progress)
            checked = published.check(Path(staged, published.folder))
            _move(Path(staged, published.folder), data_dir / published.folder)
    finally:
        archive.unlink(missing_ok=True)
    _remove_if_empty(work)
    return checked


def _copy(origin: Path, published: Publication, target: Path, progress: Progress) -> None:
    with ExitStack() as stack:
        files = _in_folder(origin, published) if origin.is_dir() else _in_archive(origin, published, stack)
        if not files:
            raise DataError(
                f"{origin}: holds no file of {published.folder} ({published.page}); take the published archive"
            )
        total, done = sum(file.size for file in files), 0
        with writing(target):
            free = shutil.disk_usage(target.parent).free
        if free < total:
            raise DataError(
                f"{target.parent}: {total:,} bytes are needed, but {free:,} are free; make room, or give --to"
            )
        for file in files:
            with writing(target / file.path):
                (target / file.path).parent.mkdir(parents=True, exist_ok=True)
                copied = (target / file.path).open("wb")
            with file.open() as source, copied:
                while chunk := _read(source, origin):
                    with writing(target / file.path):
                        copied.write(chunk)
                        copied.flush()
                    done += len(chunk)
                    progress("copy", done, total)


def _read(source: IO[bytes], origin: Path) -> bytes:
    try:
        return source.read(2**20)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{origin}: must be a whole zip archive, but {error}; download it again") from None


def _in_folder(origin: Path, published: Publication) -> list[_File]:
    files = []
    for path in sorted(origin.rglob("*")):
        match = published.member.search(f"/{path.relative_to(origin).as_posix()}")
        if match and path.is_file():
            files.append(_File(match[1], path.stat().st_size, partial(_opened, path)))
    return files


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb")


def _in_archive(origin: Path, published: Publication, stack: ExitStack) -> list[_File]:
    if not origin.is_file():
        raise DataError(f"{origin}: no such file or folder; give an archive, a folder or an address by --from")
    try:
        archive = stack.enter_context(zipfile.ZipFile(origin))
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{origin}: must be a whole zip archive, but {error}; download it again") from None
    files = []
    for member in archive.infolist():
        _refuse_unsafe_member(member, origin)
        if match := published.member.search(f"/{member.filename}"):
            files.append(_File(match[1], member.file_size, partial(archive.open, member)))
    return files


def _refuse_unsafe_member(member: zipfile.ZipInfo, origin: Path) -> None:
    path = PurePosixPath(member.filename)
    outside = path.is_absolute() or ".." in path.parts or re.search(r"\\|^\w:|\0", member.orig_filename)
    if outside or stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(
            f"{origin}: members of an archive must lie inside it, but {member.orig_filename!r} is a link or points outside; do "
            f"not trust this archive"
        )


def _move(staged: Path, target: Path) -> None:
    """Moves the folder to its target, or only the files that an existing target lacks."""
    with writing(target):
        if not target.exists():
            os.rename(staged, target)  # noqa: PTH104 (one step)
            return
        paths = sorted(path for path in staged.rglob("*") if path.is_file())
        for path in paths:
            destination = target / path.relative_to(staged)
            if destination.exists() and not filecmp.cmp(path, destination, shallow=False):
                raise DataError(
                    f"{destination}: another file is there already; remove it, or give another folder by --to"
                )
        for path in paths:
            destination = target / path.relative_to(staged)
            destination.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, destination)  # noqa: PTH105


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
