"""Access control: the role that each endpoint needs, and the role that a request has."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tsad.errors import TsadError
from tsad.serving.errors import RequestError
from tsad.serving.tokens import ROLES, Role, Tokens

BEARER = "bearer"
"""Key of a request's scope under which its `Bearer` is."""
OPEN = ("/", "/ping", "/health", "/ready")
SIGNED = ("/api/webhooks/mlflow",)
"""Paths whose requests are signed instead of having a token."""
_READING = ("GET", "HEAD", "OPTIONS")
_RECALIBRATE, _PROMOTE = "/api/recalibrate", "/api/promotions"
_SCORING = tuple(
    re.compile(pattern)
    for pattern in (
        "/invocations",
        "/train_predict",
        "/api/(score|searches|streams)",
        "/api/streams/[^/]*(/rows)?",
        "/api/jobs/[^/]*",
    )
)
"""Paths whose POST and DELETE need no more than the role `score`; every other needs `admin`, unknown ones too."""
_OF_MODEL = re.compile(r"/api/models/[^/]+/")
"""Beginning of the paths that name a model."""


@dataclass(frozen=True)
class Bearer:
    """Sender of a request.

    Attributes:
        role: Role of the token; None if the service needs no token.
        token: Name of the token; None if the service needs none, or the path does not.
        address: Address that the request came from.
    """

    role: Role | None
    token: str | None = None
    address: str = ""

    @property
    def client(self) -> str:
        """Name by which clients take turns: the token or, without one, the address."""
        return f"address {self.address}" if self.token is None else f"token {self.token}"

    def may(self, role: Role) -> bool:
        """Returns whether a token allows what needs this role; without tokens, everything but `admin` is allowed."""
        return role != "admin" if self.role is None else ROLES.index(self.role) >= ROLES.index(role)

    def check(self, role: Role, purpose: str) -> None:
        """Raises `RequestError` unless the role suffices for a purpose."""
        if not self.may(role):
            shown_role = "no token" if self.role is None else f"the role {self.role}"
            raise RequestError(
                403,
                f"{purpose} needs a token of the role {role}, but this request has {shown_role}; see tsad token create",
            )


def is_open(path: str) -> bool:
    """Returns whether a path is answered without a token: the page's own files, and whether the service is well."""
    return path in OPEN or path.startswith("/page/")


def plain_path(path: str) -> str:
    """Returns the path of the first model that does what a path does for the model that it names.

    >>> plain_path("/api/models/pump 7/streams/1"), plain_path("/api/models/a/invocations"), plain_path("/api/models")
    ('/api/streams/1', '/invocations', '/api/models')
    """
    match = _OF_MODEL.match(path)
    if match is None:
        return path
    rest = path[match.end() :]
    return "/invocations" if rest == "invocations" else f"/api/{rest}"


def role_needed(method: str, path: str) -> Role:
    """Returns the role that a request needs.

    >>> role_needed("GET", "/api/model"), role_needed("POST", "/api/score"), role_needed("DELETE", "/api/recalibrate")
    ('read', 'score', 'admin')
    """
    if method in _READING:
        return "read"
    path = plain_path(path)
    return "score" if any(pattern.fullmatch(path) for pattern in _SCORING) else "admin"


@dataclass(frozen=True)
class Access:
    """Decides about requests.

    Attributes:
        tokens: Tokens that are taken.
    """

    tokens: Tokens = field(repr=False)

    def bearer(self, method: str, path: str, authorization: Sequence[str], address: str = "") -> Bearer:
        """Returns who sends a request; raises `RequestError` if they may not.

        Args:
            method: Method of the request.
            path: Path of the request, without query.
            authorization: Values of its Authorization headers.
            address: Address that it came from.
        """
        if is_open(path) or path in SIGNED:
            return Bearer("read" if self.tokens.needed else None, address=address)
        needed = role_needed(method, path)
        if not self.tokens.needed:
            bearer = Bearer(None, address=address)
            if plain_path(path) == _PROMOTE and method == "POST":
                bearer.check(needed, "a promotion")
            return bearer
        role, name = self._owner(authorization)
        bearer = Bearer(role, name, address)
        bearer.check(needed, f"{method} of this path")
        return bearer

    def _owner(self, authorization: Sequence[str]) -> tuple[Role, str]:
        scheme, _, value = (authorization[0] if len(authorization) == 1 else "").partition(" ")
        try:
            owner = self.tokens.owner(value.strip(" \t").encode("latin-1")) if scheme.lower() == "bearer" else None
        except TsadError:
            raise RequestError(
                503, "tokens cannot be checked, because their file is damaged; the log says how", {"Retry-After": "60"}
            ) from None
        if owner is None:
            raise RequestError(
                401, "a token is needed: send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
            )
        return owner
