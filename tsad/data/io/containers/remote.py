"""Downloads of what an address points to, a file or a folder of Parquet files, into a temporary folder."""

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tsad.data.io.containers.location import Address
from tsad.data.io.issues import Issues

_TIMEOUT = 60.0
"""Seconds without an answer after which a web server counts as out of reach."""


def download(address: Address, folder: Path, issues: Issues) -> Path:
    """Returns the path of a file, or of a folder of Parquet files, as it was downloaded.

    Credentials, regions and endpoints are those of the environment, as for the command-line tools of the store: AWS_... variables
    and profiles for s3://, application default credentials for gs://, `.netrc` for https://.

    Args:
        address: Address whose beginning is one of `SCHEMES`.
        folder: Folder that is written into.
        issues: Reports about the source.

    Raises:
        FatalIssueError: if the address holds a password, there is nothing at it, or it is out of reach.
    """
    if urlsplit(str(address)).password is not None:
        issues.fail(
            "an address must not hold a password, because it is stored with every run",
            advice="put it into the environment, or into ~/.netrc",
        )
    try:
        files, path = _file_system(address)
        if address.scheme not in {"http", "https"} and files.isdir(path):
            return _folder(files, path, folder / "folder")
        target = folder / "downloaded"
        files.get_file(path, str(target))
    except ImportError as error:
        issues.fail(
            f"needs a package that is not installed ({error.name or error})", advice="pip install 'tsad[remote]'"
        )
    except Exception as error:  # each file system raises kinds of its own
        reason = (
            "No such file"
            if isinstance(error, FileNotFoundError)
            else " ".join(str(error).split()) or type(error).__name__
        )
        issues.fail(f"cannot be read ({reason[:300]})", advice="see that the address is right and that you may read it")
    return target


def _file_system(address: Address) -> tuple[Any, str]:
    """Returns the file system of an address by the interface of fsspec, and the path of the address in it."""
    import fsspec

    if address.scheme in {"s3", "gs"}:  # pyarrow has both built in
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import FileSystem

        files, path = FileSystem.from_uri(str(address))
        return ArrowFSWrapper(files), path
    if address.scheme in {"http", "https"}:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT, sock_read=_TIMEOUT)
        client = {"timeout": timeout, "trust_env": True}  # proxies, and passwords of .netrc
        return fsspec.filesystem("http", client_kwargs=client, skip_instance_cache=True), str(address)
    return fsspec.filesystem(address.scheme), str(address)


def _folder(files: Any, path: str, target: Path) -> Path:
    """Downloads the files below a folder that pyarrow would read, with the folders that they lie in."""
    root = files._strip_protocol(path).rstrip("/")
    target.mkdir()
    for source in sorted(files.find(root)):
        local = target / source.removeprefix(root).lstrip("/")
        local.parent.mkdir(parents=True, exist_ok=True)
        with files.open(source, "rb") as opened, local.open("wb") as copy:
            shutil.copyfileobj(opened, copy)
    return target
