"""Connections of the service: how many there may be, and how long each may do nothing.

uvicorn's own protocol waits for ever for the head of a request, for the rest of a body that was refused, and for a client
that does not read its answer. This one does not.
"""

import asyncio
import ipaddress
import resource
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from tsad.serving.errors import RequestError
from tsad.serving.proxies import ProxyRules

_REFUSAL = RequestError(503, "every connection is in use; connect again later").body()
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nRetry-After: 1\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_REFUSAL), _REFUSAL)
)
_FILES_LEFT = 2
"""Share of the descriptors of the process, as a divisor, that connections may take; searches and files need others."""


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of connections.

    Attributes:
        connections: Largest number of open connections. One more closes the oldest that has no request at work; if all
            have one, it is refused.
        per_address: Largest number of them from one address, or from one network of 64 bits with IPv6; None for half of all.
        proxies: Proxies whose connections are those of many clients, and which may have all of them.
        head_seconds: In which the head of a request must have come, from its first byte or from the connection on.
        idle_seconds: After which a connection without a request is closed.
        linger_seconds: In which a client may still send what was refused, or fetch the end of an answer, before the
            connection is cut.
        write_seconds: In which a client must fetch a part of an answer that waits for it.
        write_bytes: Size of that part in bytes.
        unread_bytes: Largest number of bytes that wait to be fetched, of all answers together.
    """

    connections: int = 500
    per_address: int | None = None
    proxies: ProxyRules = field(default_factory=ProxyRules)
    head_seconds: float = 10.0
    idle_seconds: float = 15.0
    linger_seconds: float = 5.0
    write_seconds: float = 15.0
    write_bytes: int = 65_536
    unread_bytes: int = 128_000_000


def _origin(address: str) -> str:
    """Returns what counts as one address: with IPv6 the network of 64 bits, all of which one machine can have.

    >>> _origin("192.0.2.7"), _origin("::ffff:192.0.2.7"), _origin("2001:db8::1:2:3:4")
    ('192.0.2.7', '192.0.2.7', '2001:db8::')
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4 or parsed.is_loopback:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)


class Connections:
    """The open connections of a server, oldest first.

    Args:
        limits: Limits of all and of each.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = limits.connections if files < 0 else max(1, min(limits.connections, files // _FILES_LEFT))
        self._open: dict[GuardedProtocol, None] = {}

    @property
    def count(self) -> int:
        """Number of open connections."""
        return len(self._open)

    def protocol(self, **arguments: Any) -> "GuardedProtocol":
        """Returns the protocol of a new connection, as uvicorn asks for it."""
        return GuardedProtocol(self, **arguments)

    def admit(self, new: "GuardedProtocol") -> bool:
        """Takes a connection in, in place of one that does nothing if there are too many; returns whether it may stay.

        If one address has its share already, the new one can only take the place of another one of this address.
        """
        own = [other for other in self._open if other.origin == new.origin]
        crowd = own if len(own) >= self._share(new.origin) else list(self._open)
        if crowd is own or len(crowd) >= self._most:
            idle = next((other for other in crowd if not other.is_busy), None)
            if idle is None:
                return False
            self.leave(idle)
            idle.transport.abort()
        self._open[new] = None
        return True

    def _share(self, origin: str) -> int:
        """Returns how many connections may come from one origin."""
        if self.limits.proxies.believes(origin):
            return self._most
        share = self.limits.per_address
        return max(1, self._most // 2) if share is None else min(share, self._most)

    def leave(self, protocol: "GuardedProtocol") -> None:
        """Forgets a connection that is closed."""
        self._open.pop(protocol, None)

    def make_room(self) -> None:
        """Cuts those off who leave most of their answers unread, while all together leave too much."""
        unread = {protocol: protocol.unread for protocol in self._open if protocol.unread}
        excess = sum(unread.values()) - self.limits.unread_bytes
        for protocol in sorted(unread, key=lambda one: -unread[one]):
            if excess <= 0:
                return
            excess -= unread[protocol]
            protocol.transport.abort()


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 on one connection that cannot be held for nothing.

    Args:
        connections: All connections of the server.
        arguments: What uvicorn gives its protocols.
    """

    def __init__(self, connections: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.ws_protocol_class = None
        self.timeout_keep_alive = connections.limits.idle_seconds  # type: ignore[assignment]  # a number of seconds
        self._all = connections
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_of = ""
        self.origin = ""
        self._write_timer: asyncio.TimerHandle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a request has come whose answer is not complete."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def unread(self) -> int:
        """Bytes of answers that the client has not fetched."""
        return self.transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Takes the connection in, or refuses it."""
        super().connection_made(transport)
        self.origin = _origin("" if self.client is None else self.client[0])
        if not self._all.admit(self):
            transport.write(_BUSY)
            transport.close()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._all.leave(self)
        for timer in (self._deadline, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Passes bytes on; those after the end of the connection count for nothing."""
        if not self.transport.is_closing():
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        """Waits for the next request, or for the end of the connection."""
        super().on_response_complete()
        self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """Closes a connection that is idle."""
        super().timeout_keep_alive_handler()
        self._watch()

    def pause_writing(self) -> None:
        """Begins to watch whether the client fetches its answer."""
        super().pause_writing()
        self._all.make_room()
        self._watch_writing()

    def resume_writing(self) -> None:
        """Ends the watch."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _unsupported_upgrade_warning(self) -> None:
        """Says nothing: anybody can ask for an upgrade, as often as they like."""

    def _watch(self) -> None:
        """Sets the time of what the connection has to do next, which no single byte can put off."""
        limits = self._all.limits
        if self.transport.is_closing():
            self._limit("close", limits.linger_seconds)
        elif self.is_busy:
            self._limit("", 0.0)  # the middleware has limits of its own
        elif self.conn.their_state is h11.SEND_BODY:
            self._limit("body", limits.linger_seconds)
        elif self.cycle is None or self.conn.trailing_data[0]:
            self._limit("head", limits.head_seconds)
        else:
            self._limit("", 0.0)  # idle, for which uvicorn has a timer

    def _limit(self, purpose: str, seconds: float) -> None:
        if purpose == self._deadline_of:
            return
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline_of = purpose
        self._deadline = self.loop.call_later(seconds, self.transport.abort) if purpose else None

    def _watch_writing(self) -> None:
        limits, unread = self._all.limits, self.unread

        def look_again() -> None:
            if self.unread > max(0, unread - limits.write_bytes):
                self.transport.abort()
            else:
                self._watch_writing()

        if self._write_timer is not None:
            self._write_timer.cancel()
        self._write_timer = self.loop.call_later(limits.write_seconds, look_again)
