"""Ids of requests: those of the client or of a proxy if they are harmless, else new ones."""

import re
import uuid
from collections.abc import Iterable

from starlette.types import Scope

REQUEST_ID = "request_id"
"""Key of a request's scope under which its id is."""
HEADER = "X-Request-Id"
"""Header of requests and answers with the id."""

_HARMLESS = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Returns the id of a request with these headers.

    >>> request_id([(b"x-request-id", b"order-17")])
    'order-17'
    """
    name = HEADER.lower().encode()
    stated = [value for key, value in headers if key == name]
    return stated[0].decode() if len(stated) == 1 and _HARMLESS.fullmatch(stated[0]) else uuid.uuid4().hex


def id_of(scope: Scope) -> str:
    """Returns the id of a request; a dash before it has one."""
    return str(scope.get(REQUEST_ID, "-"))
