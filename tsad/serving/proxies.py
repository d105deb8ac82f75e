"""Requests that come through proxies: who sent them, by which name and scheme, and below which path."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tsad.errors import TsadError, shown

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ROOT = "below"
"""Key of a request's scope under which the path is that the service is reached below, empty for none."""


@dataclass(frozen=True)
class ProxyRules:
    """Proxies whose headers are believed, and the path that the service is reached below.

    Attributes:
        networks: Addresses of the proxies; what any other sender says with `X-Forwarded-*` is not looked at.
        root_path: Path such as `/tsad`; a proxy may leave it in the path of a request or take it away.
    """

    networks: tuple[Network, ...] = ()
    root_path: str = ""

    @classmethod
    def of(cls, proxies: Sequence[str], root_path: str) -> "ProxyRules":
        """Returns the rules that a user stated; raises `TsadError` if a network or the path is none."""
        networks = []
        for proxy in proxies:
            try:
                networks.append(ipaddress.ip_network(proxy, strict=False))
            except ValueError:
                raise TsadError(
                    f"--proxy must be an address or a network such as 10.0.0.0/8, but got {shown(proxy)}"
                ) from None
        root = root_path.rstrip("/")
        is_path = root.startswith("/") and not any(part in {"", ".", ".."} for part in root[1:].split("/"))
        if root and not (is_path and root.isascii() and root.isprintable() and not set(root) & set(' ?#%\\"<>')):
            raise TsadError(f"--root-path must be a path such as /tsad, but got {shown(root_path)}")
        return cls(tuple(networks), root)

    def believes(self, address: str) -> bool:
        """Returns whether an address is that of a stated proxy."""
        try:
            sender = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = sender.ipv4_mapped if isinstance(sender, ipaddress.IPv6Address) else None
        return any((mapped or sender) in network for network in self.networks)


class ProxyMiddleware:
    """An ASGI application around another that sees requests as they were before they came through stated proxies.

    Args:
        app: The other.
        rules: Which proxies are believed, and the root path.
    """

    def __init__(self, app: ASGIApp, rules: ProxyRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; whatever is no request of HTTP goes as it is."""
        if scope["type"] == "http":
            if self._rules.root_path and scope["path"] == self._rules.root_path:
                await _redirect(send, f"{self._rules.root_path}/")  # below which the page finds its parts
                return
            scope = {**scope, **self._forwarded(scope), **self._below(scope["path"]), ROOT: self._rules.root_path}
        await self._app(scope, receive, send)

    def _below(self, path: str) -> dict[str, str]:
        root = self._rules.root_path
        if not root or not path.startswith(f"{root}/"):
            return {}
        inside = path.removeprefix(root)
        return {"path": inside, "raw_path": inside.encode("utf-8", "surrogateescape")}  # type: ignore[dict-item]

    def _forwarded(self, scope: Scope) -> dict[str, object]:
        """Returns client, scheme and headers of a request as the proxy says, nothing unless it is a stated one."""
        client = scope.get("client")
        if not client or not self._rules.believes(client[0]):
            return {}
        headers = Headers(scope=scope)
        changes: dict[str, object] = {}
        for sender in reversed(_listed(headers, "x-forwarded-for")):
            changes["client"] = (sender[:64], 0)
            if not self._rules.believes(sender):
                break
        scheme = _listed(headers, "x-forwarded-proto")[-1:]
        if scheme and scheme[0] in {"http", "https"}:
            changes["scheme"] = scheme[0]
        host = _listed(headers, "x-forwarded-host")[-1:]
        if host:
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            changes["headers"] = [*others, (b"host", host[0].encode("latin-1", "replace"))]
        return changes


async def _redirect(send: Send, path: str) -> None:
    headers = [(b"location", path.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 308, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _listed(headers: Headers, name: str) -> list[str]:
    """Returns the values of a header that may come several times, each with several values."""
    return [value.strip() for line in headers.getlist(name) for value in line.split(",") if value.strip()]
