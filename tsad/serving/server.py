"""The socket that the service listens at."""

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from tsad.errors import TsadError
from tsad.serving.connections import ConnectionLimits, Connections

_GRACE = 10


def listen(
    app: ASGIApp, host: str, port: int, ready: Callable[[int], None], limits: ConnectionLimits | None = None
) -> None:
    """Serves an application in this process until a signal ends it.

    Args:
        app: What to serve.
        host: Address to listen at.
        port: 0 for a free one.
        ready: Told the port before the first request is taken.
        limits: Limits of connections; None for the usual ones.

    Raises:
        TsadError: if the address is taken or not one of this machine.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise TsadError(f"cannot listen at {host}:{port} ({error.strerror}); give another --port or --host") from None
    with listener:
        # What it accepts inherits this; else the body of an answer waits 40 ms for the acknowledgement of its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready(listener.getsockname()[1])
        uvicorn.Server(server_config(app, limits or ConnectionLimits())).run(sockets=[listener])


def server_config(app: ASGIApp, limits: ConnectionLimits) -> uvicorn.Config:
    """Returns how uvicorn serves an application within the limits of connections."""
    return uvicorn.Config(
        app,
        http=Connections(limits).protocol,  # type: ignore[arg-type]  # it is called as a class would be
        ws="none",
        log_config=None,
        server_header=False,
        access_log=False,
        proxy_headers=False,  # it believes every proxy of this machine; ours believes those that are stated
        timeout_graceful_shutdown=_GRACE,
    )
