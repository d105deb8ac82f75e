"""`/api/webhooks/mlflow`: MLflow's registry says that an alias has moved, and the watch looks at once."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request

from tsad.serving.errors import RequestError

WEBHOOK = "/api/webhooks/mlflow"
"""Path of the endpoint."""
_SIGNATURE, _TIMESTAMP, _DELIVERY = "x-mlflow-signature", "x-mlflow-timestamp", "x-mlflow-delivery-id"
_VERSION = "v1"
_SECONDS = 300.0
"""By which the time of a message may differ from ours."""


def webhook_routes(secret: str | None, wake: Callable[[], None] | None) -> APIRouter:
    """Returns the endpoint of MLflow's webhooks.

    A message says nothing that is believed: it makes the service ask the registry. So one that is sent again does no harm.

    Args:
        secret: Secret that messages are signed with; None takes none.
        wake: Lets the watches look; None if the service follows nothing.
    """
    router = APIRouter(tags=["model"])

    @router.post("/api/webhooks/mlflow", status_code=202)
    async def hear(request: Request) -> Any:
        """Takes a message of MLflow's registry, signed with the secret that both know, and looks at the alias at once."""
        if secret is None or wake is None:
            raise RequestError(
                404, "no webhook is heard here; follow an alias (models:/NAME@ALIAS), and set TSAD_WEBHOOK_SECRET"
            )
        headers = [request.headers.getlist(name) for name in (_SIGNATURE, _DELIVERY, _TIMESTAMP)]
        if any(len(values) != 1 for values in headers):
            raise RequestError(401, f"a message must be signed: send {_SIGNATURE}, {_DELIVERY} and {_TIMESTAMP}")
        (signature,), (delivery,), (timestamp,) = headers
        if not is_signed(secret, await request.body(), signature, delivery, timestamp):
            raise RequestError(401, "the signature must be made with TSAD_WEBHOOK_SECRET, but is not")
        if not _is_recent(timestamp):
            raise RequestError(
                401, f"the time of a message must be within {_SECONDS:g} s of now, but is {timestamp[:20]!r}"
            )
        wake()
        return {"state": "asked"}

    return router


def is_signed(secret: str, body: bytes, signature: str, delivery: str, timestamp: str) -> bool:
    """Returns whether MLflow signed a message with a secret: HMAC-SHA256 of delivery, time and body."""
    content = f"{delivery}.{timestamp}.".encode("latin-1", "replace") + body
    expected = base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest())
    version, _, value = signature.partition(",")
    return version == _VERSION and hmac.compare_digest(value.encode("latin-1", "replace"), expected)


def _is_recent(timestamp: str) -> bool:
    return (
        timestamp.isascii()
        and timestamp.isdigit()
        and len(timestamp) < 16
        and (abs(time.time() - int(timestamp)) <= _SECONDS)
    )
