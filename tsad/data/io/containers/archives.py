"""Compressed files and archives, unpacked piece by piece into a temporary folder."""

import os
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

import pyarrow as pa

from tsad.data.io.containers.kinds import ZIP_ERRORS, Kind, without_endings
from tsad.data.io.issues import Issues
from tsad.errors import shown

_PIECE = 1 << 20
"""Bytes that are unpacked at once."""


def unpack_stream(file: Path, kind: Kind, name: str, folder: Path, issues: Issues) -> tuple[Path, str]:
    """Unpacks a gzip, bzip2 or zstd file.

    Args:
        file: Path of the file.
        kind: How it is compressed.
        name: Name that the file goes by.
        folder: Folder that the unpacked file is written into.
        issues: Reports about the source.

    Returns:
        Path of the unpacked file, and the name that it goes by, which has one ending less.

    Raises:
        FatalIssueError: if the file is not compressed in this way, was cut off, or is empty.
    """
    target = _new_file(folder)
    if not file.stat().st_size:
        issues.fail("is empty", advice="give a file with rows")
    with target.open("wb") as unpacked:
        try:
            with pa.CompressedInputStream(pa.OSFile(str(file)), kind) as stream:
                while piece := stream.read(_PIECE):
                    unpacked.write(piece)
        except (OSError, pa.ArrowException) as error:
            if getattr(error, "errno", None):  # of the disk, not of the content
                raise
            issues.fail(f"is not a {kind} file, or not all of it ({error})", advice="copy or compress it again")
    inner, ending = Path(name).stem, Path(name).suffix.lower()
    return target, inner if without_endings(f"x{ending}")[1] == kind else name


def unpack_member(file: Path, folder: Path, issues: Issues) -> tuple[Path, str]:
    """Unpacks the only table of a zip archive; other members, such as a read-me, are left.

    Returns:
        Path of the unpacked file, and the name of the member.

    Raises:
        FatalIssueError: if there is no table, or more than one, or it is encrypted or damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            member = _only_table(archive, issues)
            target = copy_member(archive, member, folder)
    except ZIP_ERRORS as error:
        issues.fail(f"is not a zip archive, or a damaged one ({error})", advice="copy or write it again")
    return target, PurePosixPath(member.filename).name


def copy_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> Path:
    """Unpacks a member of a zip archive into a new file of a folder, and returns its path."""
    target = _new_file(folder)
    with archive.open(member) as source, target.open("wb") as unpacked:
        shutil.copyfileobj(source, unpacked, _PIECE)
    return target


def _new_file(folder: Path) -> Path:
    descriptor, path = tempfile.mkstemp(dir=folder)
    os.close(descriptor)
    return Path(path)


def _only_table(archive: zipfile.ZipFile, issues: Issues) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if not member.is_dir() and not _is_hidden(member.filename)]
    tables = [member for member in members if without_endings(member.filename)[1] is not None]
    if len(tables) != 1:
        names = shown([member.filename for member in tables or members], 400)
        issues.fail(
            f"must hold one table, but holds {len(tables)} among {len(members)} files: {names}",
            advice="unpack it and give the path of one file",
        )
    if tables[0].flag_bits & 1:
        issues.fail(f"holds {tables[0].filename!r}, which is encrypted", advice="unpack it with its password first")
    return tables[0]


def _is_hidden(name: str) -> bool:
    """Returns whether a member was put there by an operating system."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
