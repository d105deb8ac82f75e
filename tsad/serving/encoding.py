"""Answers that are sent once and short: an ETag for what may be asked again, and gzip for who takes it."""

import asyncio
import gzip
import hashlib
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LEAST, _LARGE, _LEVEL = 1000, 100_000, 4
"""Bytes from which an answer is compressed, from which that is done away from the event loop; and how much."""
_TEXTS = ("application/json", "application/javascript", "image/svg+xml", "text/")


class EncodingMiddleware:
    """An ASGI application around another whose answers are whole: adds ETags to those of GET, answers 304, and compresses.

    Args:
        app: The other.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; passes on whatever is no request of HTTP."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        parts: list[bytes] = []

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                head, body = await _encoded(Headers(scope=scope), scope["method"], start, b"".join(parts))
                await send(head)
                await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, collect)


async def _encoded(asked: Headers, method: str, start: Message, body: bytes) -> tuple[Message, bytes]:
    """Returns head and body of an answer as this request takes them."""
    headers = MutableHeaders(raw=[pair for pair in start["headers"] if pair[0] not in {b"etag", b"last-modified"}])
    status, is_text = start["status"], headers.get("content-type", "").startswith(_TEXTS)
    if method in {"GET", "HEAD"} and status == 200:
        tag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers["ETag"] = tag
        if _matches(asked.getlist("if-none-match"), tag):
            del headers["content-length"]
            return {**start, "status": 304, "headers": headers.raw}, b""
    if is_text:
        headers.add_vary_header("Accept-Encoding")
        if len(body) >= _LEAST and "content-encoding" not in headers and takes_gzip(asked.getlist("accept-encoding")):
            body = await _compressed(body)
            headers["Content-Encoding"] = "gzip"
            headers["Content-Length"] = str(len(body))
    return {**start, "headers": headers.raw}, body


def takes_gzip(lines: Iterable[str]) -> bool:
    """Returns whether these Accept-Encoding headers allow gzip.

    >>> [takes_gzip([line]) for line in ("gzip, br", "gzip;q=0, *", "br", "*", "identity;q=1, *;q=0")]
    [True, False, False, True, False]
    """
    qualities = {}
    for part in ",".join(lines).lower().split(","):
        name, _, parameter = part.partition(";")
        quality = parameter.strip().removeprefix("q=") or "1"
        qualities[name.strip()] = quality.replace(".", "", 1).isdigit() and float(quality) > 0
    return qualities.get("gzip", qualities.get("*", False))


def _matches(lines: Iterable[str], tag: str) -> bool:
    tags = {part.strip().removeprefix("W/") for part in ",".join(lines).split(",")}
    return "*" in tags or tag.removeprefix("W/") in tags


async def _compressed(body: bytes) -> bytes:
    if len(body) < _LARGE:
        return gzip.compress(body, _LEVEL, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
