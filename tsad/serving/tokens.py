"""Tokens with roles: created, listed and revoked in a file that holds their hashes, and read again when it changes."""

import hashlib
import hmac
import json
import logging
import os
import secrets
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from tsad.errors import SpecError, TsadError, shown
from tsad.spec import Spec, parse

_log = logging.getLogger(__name__)

Role = Literal["read", "score", "admin"]
ROLES: tuple[Role, ...] = ("read", "score", "admin")
"""Roles in ascending order: each may do what those before it may."""

TOKENS = "tokens.json"
"""Name of the file of tokens in the output folder."""

STARTED = "TSAD_TOKEN"
"""Name of the token that the service was started with."""

_PREFIX = "tsad_"
_BYTES = 32
"""Random bytes of a token: too many to be guessed, so that a plain hash protects them."""
_NAME = r"^[A-Za-z0-9][\w.-]{0,63}$"
_LARGEST = 1_000_000


class Token(Spec):
    """Record of a token; the token itself is in no file.

    Attributes:
        name: Name of the token for people, unique in its file.
        role: What its bearer may do.
        sha256: SHA-256 of the token in hexadecimal digits.
        created: Time of its creation in ISO 8601, UTC.
    """

    name: str = Field(pattern=_NAME)
    role: Role
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    created: str = Field(max_length=40)


class _Content(Spec):
    """Content of a file of tokens."""

    tokens: tuple[Token, ...]


def check_token(token: str | None) -> str | None:
    """Returns a token that a user gave; raises `TsadError` if it is blank, or no header could carry it."""
    if token is None:
        return None
    if not token.strip():
        raise TsadError("a token must have characters, but TSAD_TOKEN or --token is blank; set one, or unset it")
    if token != token.strip() or not token.isprintable():
        raise TsadError(
            "a token must have no blanks around it and no control characters, but TSAD_TOKEN or --token has"
        )
    return token


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Returns the tokens of a file, none if there is no file; raises `TsadError` if it is damaged."""
    try:
        if path.stat().st_size > _LARGEST:
            raise TsadError(
                f"{path}: a file of tokens must not exceed {_LARGEST} bytes; revoke some, or restore the file"
            )
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError) as error:
        raise TsadError(f"{path}: must be a file of tokens, but {error}; restore or remove it") from None
    if not isinstance(values, dict):
        raise TsadError(f"{path}: must be a file of tokens, but is {shown(values)}; restore or remove it")
    try:
        return parse(_Content, values, str(path)).tokens
    except SpecError as error:
        raise TsadError(f"{error}; restore or remove the file of tokens") from None


def create_token(path: Path, name: str, role: Role) -> str:
    """Adds a token to a file, which is made if absent, and returns it; it cannot be shown again.

    Raises:
        TsadError: if there is a token of this name, the name is none, or the file is damaged or cannot be written.
    """
    tokens = read_tokens(path)
    if any(token.name == name for token in tokens):
        raise TsadError(
            f"{path}: names of tokens must be unique, but {name!r} exists; revoke it, or choose another name"
        )
    text = _PREFIX + secrets.token_urlsafe(_BYTES)
    values = {"name": name, "role": role, "sha256": _hash(text.encode()), "created": _now()}
    _write(path, (*tokens, parse(Token, values, "token")))
    return text


def revoke_token(path: Path, name: str) -> None:
    """Removes a token from a file; raises `TsadError` if it has none of this name."""
    tokens = read_tokens(path)
    others = tuple(token for token in tokens if token.name != name)
    if len(others) == len(tokens):
        names = ", ".join(token.name for token in tokens) or "none"
        raise TsadError(f"{path}: has no token {shown(name)}; its tokens: {names}")
    _write(path, others)


class Tokens:
    """The tokens that a service takes: one that it was started with, and those of a file as it is now.

    Once there was a token, one is needed: a file that is emptied or removed later opens nothing.

    Args:
        token: Token of the role `admin`; None for none.
        path: File of further tokens; None for none.
    """

    def __init__(self, token: str | None = None, path: Path | None = None) -> None:
        self._admin = None if token is None else _hash(token.encode())
        self._path = path
        self._stamp: tuple[int, ...] | None = None
        self._stored: tuple[Token, ...] = ()
        self._damage: str | None = None
        self._needed = token is not None
        self._refresh()

    @property
    def needed(self) -> bool:
        """Whether requests need a token."""
        self._refresh()
        return self._needed

    @property
    def damage(self) -> str | None:
        """Damage of the file in a sentence, None if there is none."""
        self._refresh()
        return self._damage

    def owner(self, token: bytes) -> tuple[Role, str] | None:
        """Returns role and name of a token, None if it is no valid one; the token of the start has the name `TSAD_TOKEN`.

        Raises:
            TsadError: if the file is damaged, so that nobody knows; the token of the start is known all the same.
        """
        digest, owner = _hash(token), None
        if self._admin is not None and hmac.compare_digest(digest, self._admin):
            return "admin", STARTED
        self._refresh()
        if self._damage is not None:
            raise TsadError(self._damage)
        for stored in self._stored:
            if hmac.compare_digest(digest, stored.sha256):
                owner = stored.role, stored.name
        return owner

    def described(self) -> str:
        """Returns in a few words which tokens are taken."""
        self._refresh()
        counts = [f"{count} {role}" for role in ROLES if (count := sum(token.role == role for token in self._stored))]
        file = [f"{', '.join(counts)} of {self._path}"] if counts else []
        return " and ".join(([] if self._admin is None else ["TSAD_TOKEN (admin)"]) + file) or "none that is valid"

    def _refresh(self) -> None:
        """Reads the file again if it is another one than before."""
        if self._path is None:
            return
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._stored, self._damage = read_tokens(self._path), None
        except TsadError as error:
            self._stored, self._damage = (), str(error)
            _log.error("%s", error)
        self._needed = self._needed or bool(self._stored) or self._damage is not None


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _hash(token: bytes) -> str:
    return hashlib.sha256(token).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(path: Path, tokens: tuple[Token, ...]) -> None:
    """Writes the file completely or not at all, for its owner's eyes only."""
    content = json.dumps(_Content(tokens=tokens).model_dump(mode="json"), indent=1) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp("", f".{path.name}", path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise TsadError(f"{path}: cannot be written ({error.strerror}); the tokens are as they were") from None
