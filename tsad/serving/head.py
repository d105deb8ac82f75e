"""HEAD: what GET would answer, without the body."""

from starlette.types import ASGIApp, Receive, Scope, Send


class Head:
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
