"""Errors of the service: a status, a code and one sentence, never a trace."""

import json
from collections.abc import Mapping
from typing import Any

CODES: Mapping[int, str] = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    409: "RESOURCE_CONFLICT",
    413: "REQUEST_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "REQUEST_LIMIT_EXCEEDED",
    431: "HEADERS_TOO_LARGE",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Error code by status; 400, 401, 403, 404, 429, 500 and 503 are those of MLflow's own answers."""

_SCHEMA = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {"error_code": {"enum": list(CODES.values())}, "message": {"type": "string"}},
}
DESCRIBED: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "content": {"application/json": {"schema": _SCHEMA}}}
    for status, what in {"4XX": "What is wrong with the request.", "5XX": "Too busy, too slow, or broken."}.items()
}
"""Errors as OpenAPI describes them."""

_LONGEST = 1000


class RequestError(Exception):
    """Ends a request with an answer.

    Attributes:
        status: HTTP status of the answer, a key of `CODES`.
        message: The rule, the values, the way out; a longer one than 1000 characters is cut.
        headers: Beside the usual ones.
        details: Further members of the answer, besides code and message.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message if len(message) <= _LONGEST else message[: _LONGEST - 3] + "..."
        self.headers = {"Content-Type": "application/json", **(headers or {})}
        self.details = details or {}

    def body(self) -> bytes:
        """Returns the JSON of the answer."""
        return json.dumps({"error_code": CODES[self.status], "message": self.message, **self.details}).encode()
