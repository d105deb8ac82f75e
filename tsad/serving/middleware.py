"""Middleware before every endpoint: authentication, limits, timeouts, and the headers of every answer."""

import asyncio
import ipaddress
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tsad.serving.access import BEARER, Access
from tsad.serving.body_limits import BodyLimits
from tsad.serving.errors import RequestError
from tsad.serving.memory import MemoryTrimmer
from tsad.serving.proxies import ProxyRules
from tsad.serving.request_heads import check_head
from tsad.serving.request_ids import id_of
from tsad.serving.tokens import Tokens

_log = logging.getLogger(__name__)

_DRAINED = 4
"""A body that is too large is still read, and forgotten, up to this many times the limit: who is cut off in the middle of
sending does not read the answer that says why."""

_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class SecurityPolicy:
    """Limits of the guard.

    Attributes:
        hosts: Names the service may be called by, beside the loopback's; without ports, in any case.
        token: Token of the role `admin`. With tokens, each request must carry one, except for the page's own files, `/ping`,
            `/health` and `/ready`; None for no such token.
        token_file: File of further tokens with roles; None for none.
        max_bytes: Largest size of a body in bytes.
        bodies_bytes: Largest size in bytes of all bodies that are at work or on their way. Small ones and large ones are
            counted apart, so that who sends large ones does not keep out who sends small ones.
        small_bytes: Largest size of a small body.
        bodies: Limits of the tables in them.
        read_seconds: In which a body must have come.
        answer_seconds: In which, after that, the answer must have begun.
        proxies: Proxies that are believed, and the path that the service is reached below.
    """

    hosts: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    max_bytes: int = 16_000_000
    bodies_bytes: int = 24_000_000
    small_bytes: int = 250_000
    bodies: BodyLimits = field(default_factory=BodyLimits)
    read_seconds: float = 30.0
    answer_seconds: float = 60.0
    proxies: ProxyRules = field(default_factory=ProxyRules)


class SecurityMiddleware:
    """An ASGI application around another: checks the request, reads its body within the limits, completes the answer.

    - `Host` must name the loopback or one of `SecurityPolicy.hosts`, so that no foreign name that resolves to this machine serves
      a foreign page as the origin (DNS rebinding).
    - A request that changes something and says where it comes from must come from this origin.
    - An error that nobody foresaw becomes a 500 without its trace, which is logged.

    Args:
        app: The other.
        rules: What is let through.
        patience: Seconds by path that an answer may take beside `SecurityPolicy.answer_seconds`.
    """

    def __init__(self, app: ASGIApp, rules: SecurityPolicy, patience: Mapping[str, float]) -> None:
        self._app = app
        self._rules = rules
        self._patience = patience
        self._space = _Space(rules)
        self._memory = MemoryTrimmer()
        self._access = Access(Tokens(rules.token, rules.token_file))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; passes on whatever is no request of HTTP."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        seconds = self._rules.answer_seconds + self._patience.get(scope["path"], 0.0)
        try:
            self._admit(scope)
            with self._space.taken() as taken:
                body = await self._body(scope, receive, taken)
                await self._check_body(scope, body)
                async with asyncio.timeout(seconds) as limit:
                    await _while_wanted(self._app, scope, body, receive, answer.within(limit))
        except _GoneError:
            return
        except RequestError as refusal:
            await answer.refuse(refusal)
        except TimeoutError:
            await answer.refuse(RequestError(504, f"an answer must begin within {seconds:g} s; send fewer rows"))
        except Exception:
            shown_request = ascii(f"{scope['method'][:20]} {scope['path'][:200]}")[1:-1]
            _log.exception("%s failed (request %s)", shown_request, id_of(scope))
            await answer.refuse(RequestError(500, "the service failed; its log says why"))
        finally:
            self._memory.look_soon()

    def _admit(self, scope: Scope) -> None:
        """Raises `RequestError` unless the request may be looked at."""
        check_head(scope)
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_allowed(hosts[0]):
            raise RequestError(403, f"Host must be localhost or a name of --allow-host, but is {', '.join(hosts)!r}")
        if scope["method"] not in {"GET", "HEAD", "OPTIONS"}:
            for origin in headers.getlist("origin"):
                if _location(origin) != hosts[0].lower():
                    raise RequestError(403, f"Origin must be the service itself ({hosts[0]}), but is {origin!r}")
        address = (scope.get("client") or ("",))[0]
        scope[BEARER] = self._access.bearer(scope["method"], scope["path"], headers.getlist("authorization"), address)
        encoding = headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise RequestError(
                415, f"a body must not be compressed, but Content-Encoding is {encoding!r}; send it as it is"
            )

    def _is_allowed(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
            urlsplit(f"//{host}").port  # noqa: B018 (raises if it is no number)
        except ValueError:
            return False
        if name == "localhost" or name in {allowed.lower() for allowed in self._rules.hosts}:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    async def _check_body(self, scope: Scope, body: bytes) -> None:
        """Raises `RequestError` if the body holds too large a table; a large one is counted away from the event loop."""
        media = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        check = self._rules.bodies.check_text
        if len(body) <= self._rules.small_bytes:
            check(body, media)
        else:
            await asyncio.to_thread(check, body, media)

    async def _body(self, scope: Scope, receive: Receive, taken: "_Taken") -> bytes:
        """Returns the whole body; raises `RequestError` if it is too large or too slow."""
        most, seconds = self._rules.max_bytes, self._rules.read_seconds
        declared = int(Headers(scope=scope).get("content-length", "0"))
        size, parts = 0, []
        if declared > most * _DRAINED:
            raise RequestError(413, f"a body must not exceed {most} bytes, but has {declared}; send the rows in parts")
        try:
            async with asyncio.timeout(seconds):
                while size <= most * _DRAINED:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    part = message.get("body", b"")
                    size += len(part)
                    if size <= most:
                        taken.grow(len(part))
                        parts.append(part)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise RequestError(
                408, f"a body must come within {seconds:g} s, but {size} bytes came; send it faster"
            ) from None
        if size > most:
            got = declared or f"{size} or more"
            raise RequestError(413, f"a body must not exceed {most} bytes, but has {got}; send the rows in parts")
        return b"".join(parts)


def _location(origin: str) -> str | None:
    """Returns host and port of an origin in lower case, None if it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


class _GoneError(Exception):
    """Whoever asked has gone."""


class _Answer:
    """The way of an answer to whoever asked."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False

    def within(self, limit: asyncio.Timeout) -> Send:
        """Returns `send` that lifts the limit when the answer begins, which may then take its time."""

        async def send(message: Message) -> None:
            limit.reschedule(None)
            await self.send(message)

        return send

    async def send(self, message: Message) -> None:
        """Passes a message on, the headers completed."""
        if message["type"] == "http.response.start":
            self._begun = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def refuse(self, refusal: RequestError) -> None:
        """Answers with a refusal; does nothing if another answer has begun, which the server then breaks off."""
        if self._begun:
            return
        body = refusal.body()
        headers = {"Content-Length": str(len(body)), **refusal.headers}
        raw = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})


class _Space:
    """Room for the bodies of all requests, from their first byte to the end of their answers."""

    def __init__(self, rules: SecurityPolicy) -> None:
        self.rules = rules
        self.small = self.large = 0

    @contextmanager
    def taken(self) -> Iterator["_Taken"]:
        """Gives room to one body until the block ends."""
        taken = _Taken(self)
        try:
            yield taken
        finally:
            taken.release()


class _Taken:
    """Room that one body takes: that of the small ones until it is large."""

    def __init__(self, space: _Space) -> None:
        self._space = space
        self._size = 0
        self._is_large = False

    def grow(self, size: int) -> None:
        """Takes more room; raises `RequestError` if there is no more."""
        space, rules, before = self._space, self._space.rules, self._size
        self._size += size
        if self._is_large:
            space.large += size
        elif self._size > rules.small_bytes:
            self._is_large = True
            space.small -= before
            space.large += self._size
        else:
            space.small += size
        most = max(rules.bodies_bytes, rules.max_bytes)
        if (space.large if self._is_large else space.small) > most:
            raise RequestError(
                503, f"the bodies at work may have {most} bytes together; send again later", {"Retry-After": "1"}
            )

    def release(self) -> None:
        """Gives the room back."""
        if self._is_large:
            self._space.large -= self._size
        else:
            self._space.small -= self._size
        self._size = 0


async def _while_wanted(app: ASGIApp, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
    """Runs an application on a whole body, and cancels it if whoever asked has gone."""
    gone, is_read = asyncio.Event(), False

    async def replay() -> Message:
        nonlocal is_read
        if not is_read:
            is_read = True
            return {"type": "http.request", "body": body, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def listen() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    work, listening = asyncio.ensure_future(app(scope, replay, send)), asyncio.ensure_future(listen())
    try:
        await asyncio.wait((work, listening), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise _GoneError
        work.result()
    finally:
        for task in (work, listening):
            if not task.done():
                task.cancel()
        await asyncio.gather(work, listening, return_exceptions=True)


class HeadMiddleware:
    """An ASGI application around another that knows GET only; the server, which knows what was asked, sends no body.

    Args:
        app: The other.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; passes on whatever is no HEAD."""
        if scope.get("method") != "HEAD":
            await self._app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}
        try:
            await self._app(asked, receive, send)
        finally:
            scope.update({**asked, "method": "HEAD"})  # with the route, by which requests are counted
