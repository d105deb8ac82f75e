"""One line a request, in a file that does not grow without end."""

import logging
import sys
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ACCESS_LOG = "access.log"
"""Name of the file in the state folder."""

_BYTES, _FILES = 10_000_000, 4
_PATH, _METHOD = 200, 10
"""Largest number of characters of a path and of a method in a line."""


class AccessLog:
    """Log of requests: UTC, client, method, path, status, seconds. It holds no query, no header and no row.

    A full disk loses lines and no request.

    Args:
        folder: Folder of `access.log` and of the older files `access.log.1` to `access.log.4`, 10 MB each.
    """

    def __init__(self, folder: Path) -> None:
        self._handler = _Handler(folder / ACCESS_LOG, maxBytes=_BYTES, backupCount=_FILES, encoding="ascii", delay=True)
        formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self._handler.setFormatter(formatter)

    @property
    def failure(self) -> str | None:
        """Reason why the newest line is missing, None if it is there."""
        return self._handler.failure

    def write(self, client: str, method: str, path: str, status: int, seconds: float) -> None:
        """Writes a line, whatever characters a path has."""
        shown_path = ascii(path)[1:-1]
        shown_path = shown_path if len(shown_path) <= _PATH else f"{shown_path[:_PATH]}..."
        line = f"{client} {ascii(method[:_METHOD])[1:-1]} {shown_path} {status} {seconds:.3f}"
        self._handler.handle(logging.makeLogRecord({"msg": line, "levelno": logging.INFO}))

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
    """An ASGI application around another that logs its answers.

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
        start, status = time.perf_counter(), 499

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            client = (scope.get("client") or ("-",))[0]
            self._log.write(client, scope["method"], scope["path"], status, time.perf_counter() - start)
