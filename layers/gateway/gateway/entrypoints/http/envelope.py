"""What every HTTP answer has, whatever made it: a request id, CORS headers, and the error shape.

Plain ASGI around the application, so that nothing stands between a stream and its socket.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.domain.errors import ServerError
from gateway.entrypoints.http.errors import error_response

logger = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_REQUEST_ID_NAME = REQUEST_ID.encode()
_CORS = (
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"x-request-id, x-ignored-params, x-search-status, retry-after, x-ratelimit-limit-requests,"
        b" x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens,"
        b" x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens",
    ),
)
_PREFLIGHT = {
    "access-control-allow-methods": "GET, POST, DELETE, OPTIONS",
    "access-control-max-age": "86400",
}
_USUAL_HEADERS = "authorization, content-type, x-request-id"


class Envelope:
    """The outermost ASGI layer."""

    def __init__(self, app: ASGIApp, *, new_request_id: Callable[[], str]) -> None:
        self.app = app
        self._new_request_id = new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; anything but HTTP (lifespan) goes straight through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = headers.get(REQUEST_ID, "")
        if _SANE_ID.fullmatch(request_id) is None:
            request_id = self._new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (_REQUEST_ID_NAME, request_id.encode()), *_CORS]
            await send(message)

        if scope["method"] == "OPTIONS":
            await _preflight(headers)(scope, receive, send_with_headers)
            return
        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:  # it left while it sent its body: there is nobody to answer
            return
        except Exception:  # the outermost frame
            logger.exception("request failed", extra={"request_id": request_id, "path": scope["path"]})
            if not started:
                await error_response(ServerError())(scope, receive, send_with_headers)


def _preflight(headers: Headers) -> Response:
    # names that the browser asks for are echoed: SDKs send headers of their own (x-stainless-…)
    asked = headers.get("access-control-request-headers", _USUAL_HEADERS)
    safe = asked if re.fullmatch(r"[A-Za-z0-9, _-]{1,2000}", asked) else _USUAL_HEADERS
    return Response(status_code=204, headers={**_PREFLIGHT, "access-control-allow-headers": safe})
