"""Tokens of the service: creating, listing and revoking them in the file that a running service reads again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tsad.errors import TsadError
from tsad.serving.tokens import TOKENS, Role, Token, read_tokens
from tsad.serving.tokens import create_token as add_token
from tsad.serving.tokens import revoke_token as remove_token
from tsad.settings import Settings
from tsad.workflows.context import read_settings

_WAIT = 10.0


def token_file(settings: Settings) -> Path:
    """Returns the file of the tokens: `TSAD_TOKEN_FILE`, or `tokens.json` in the output folder."""
    return (settings.token_file or settings.output_dir / TOKENS).resolve()


def create_token(name: str, role: Role, path: Path | None = None) -> str:
    """Returns a new token, of which the file gets the hash.

    Args:
        name: Name for people, unique in the file.
        role: What its bearer may do: `read`, `score` (and read), or `admin` (everything).
        path: File of the tokens; None for that of the settings.

    Raises:
        TsadError: if the name exists or is none, or the file is damaged or cannot be written.
    """
    with _held(path) as file:
        return add_token(file, name, role)


def list_tokens(path: Path | None = None) -> tuple[Token, ...]:
    """Returns names, roles and times of the tokens of a file, the oldest first; raises `TsadError` if it is damaged."""
    return read_tokens(path or token_file(read_settings()))


def revoke_token(name: str, path: Path | None = None) -> None:
    """Removes a token from the file; running services refuse it from their next request on.

    Raises:
        TsadError: if the file has no token of this name, is damaged or cannot be written.
    """
    with _held(path) as file:
        remove_token(file, name)


@contextmanager
def _held(path: Path | None) -> Iterator[Path]:
    """Holds the file for one change, so that two commands at once lose nothing."""
    file = path or token_file(read_settings())
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock", timeout=_WAIT):
            yield file
    except Timeout:
        raise TsadError(f"{file}: another command has held it for {_WAIT:g} s; try again") from None
    except OSError as error:
        raise TsadError(f"{file}: cannot be written ({error.strerror}); choose another with TSAD_TOKEN_FILE") from None
