"""Heads of requests that two programs could read differently, or that only keep the service busy."""

from starlette.types import Scope

from tsad.serving.errors import RequestError

MOST_HEADERS = 100
"""Largest number of headers of a request."""
_VERSIONS = ("1.0", "1.1")
_CLOSE = {"Connection": "close"}


def check_head(scope: Scope) -> None:
    """Raises `RequestError`, which ends the connection too, unless a head says in one way what the request is.

    A body whose end is stated twice is one request to this service and may be two to a proxy before it (request smuggling).
    """
    version, headers = scope.get("http_version", "1.1"), scope["headers"]
    if version not in _VERSIONS:
        raise RequestError(400, f"a request must be HTTP/1.1, but is HTTP/{version}", _CLOSE)
    if len(headers) > MOST_HEADERS:
        raise RequestError(431, f"a request may have at most {MOST_HEADERS} headers, but has {len(headers)}", _CLOSE)
    names = [name for name, _ in headers]
    if b"transfer-encoding" in names and b"content-length" in names:
        raise RequestError(
            400, "a body must have Content-Length or Transfer-Encoding, but has both; leave one out", _CLOSE
        )
