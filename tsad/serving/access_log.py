"""One line of JSON a request, in a file that does not grow without end."""

import json
import logging
import sys
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tsad.serving.access import BEARER
from tsad.serving.request_ids import HEADER, REQUEST_ID, request_id

ACCESS_LOG = "access.log"
"""Name of the file in the state folder."""

_BYTES, _FILES = 10_000_000, 4
_PATH, _METHOD = 120, 10
"""Largest number of characters of a path and of a method in a line."""


class AccessLog:
    """Log of requests, an object of JSON each: time (UTC), id, client, token, method, path, status, seconds, bytes.

    It holds no query, no header and no row; of a token it has the name.

    A full disk loses lines and no request.

    Args:
        folder: Folder of `access.log` and of the older files `access.log.1` to `access.log.4`, 10 MB each.
    """

    def __init__(self, folder: Path) -> None:
        self._handler = _Handler(folder / ACCESS_LOG, maxBytes=_BYTES, backupCount=_FILES, encoding="ascii", delay=True)

    @property
    def failure(self) -> str | None:
        """Reason why the newest line is missing, None if it is there."""
        return self._handler.failure

    def write(
        self, client: str, method: str, path: str, status: int, seconds: float, **others: str | int | None
    ) -> None:
        """Writes a line, whatever characters a path has.

        Args:
            client: Address of the sender.
            method: Method of the request.
            path: Path of the request, without query.
            status: Status of the answer; 499 if the client hung up before.
            seconds: Seconds from request to answer.
            others: Further members, such as `id`; those that are None are left out.
        """
        shown_path = ascii(path)[1:-1]
        shown_path = shown_path if len(shown_path) <= _PATH else f"{shown_path[:_PATH]}..."
        now = time.time()
        line = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z",
            "client": client,
            "method": ascii(method[:_METHOD])[1:-1],
            "path": shown_path,
            "status": status,
            "seconds": round(seconds, 4),
            **{name: value for name, value in others.items() if value is not None},
        }
        self._handler.handle(logging.makeLogRecord({"msg": json.dumps(line), "levelno": logging.INFO}))

    def close(self) -> None:
        """Closes the file."""
        self._handler.close()


class _Handler(RotatingFileHandler):
    """Handler that remembers a failure, where logging's own prints a trace for each line."""

    failure: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record."""
        self.failure = None
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging names it)
        """Remembers what is wrong."""
        self.failure = f"{self.baseFilename}: {sys.exception()}"


class AccessLogMiddleware:
    """An ASGI application around another that gives requests an id, sends it back, and logs the answers.

    Args:
        app: The other.
        log: Takes the lines.
    """

    def __init__(self, app: ASGIApp, log: AccessLog) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; passes on whatever is no request of HTTP."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, size = time.perf_counter(), 499, 0
        scope[REQUEST_ID] = request_id(scope["headers"])

        async def watched(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = scope[REQUEST_ID]
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            client = (scope.get("client") or ("-",))[0]
            seconds, token = time.perf_counter() - start, getattr(scope.get(BEARER), "token", None)
            others = {"bytes": size, "id": scope[REQUEST_ID], "token": token}
            self._log.write(client, scope["method"], scope["path"], status, seconds, **others)
