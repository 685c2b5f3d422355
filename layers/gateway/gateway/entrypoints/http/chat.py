"""The chat application: POST /v1/chat/completions and POST /v1/completions, streamed.

Starlette alone: routes that parse their own bodies use none of what FastAPI costs at import
(docs/decisions/0003). The document of these routes is made with the others' (`openapi.py`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.application.access import Access, read_key
from gateway.application.generation import Generate, Order
from gateway.application.orders import CHAT, COMPLETIONS, Orders
from gateway.application.ports import Clock, Ids
from gateway.domain.admission import rate_limit_headers
from gateway.domain.answer import Kind
from gateway.domain.chat import Sampling, parse_chat_request, parse_completion_request
from gateway.domain.errors import GatewayError
from gateway.domain.keys import ApiKey
from gateway.domain.usage import Settlement
from gateway.entrypoints.http.body import read_body
from gateway.entrypoints.http.envelope import Envelope
from gateway.entrypoints.http.errors import HANDLERS
from gateway.entrypoints.http.generation import Face, GenerationResponse

HEALTH = "/health"
INVOCATION = "x-amzn-lambda-context"
"""The header that the Lambda Web Adapter puts on each invocation that it passes on, and on no call of its own."""
LARGE_BODY_BYTES = 65_536
"""From this size on a body may hold images that take tenths of a second to judge; other streams don't wait for that."""
_MAX_NAMES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatServices:
    """What the chat application needs."""

    access: Access
    orders: Orders
    generate: Generate
    clock: Clock
    ids: Ids
    max_body_bytes: int
    on_settled: Callable[[Settlement], None]
    warm_up: Callable[[], None]
    snapshot_hooks: Mapping[str, Callable[[], None]]
    """What the Lambda Web Adapter has done around a SnapStart snapshot, by the path on which it asks."""


def build_chat_app(services: ChatServices) -> Envelope:
    """The ASGI application of the chat function."""
    routes = [
        Route(CHAT, _Endpoint(services, "chat").create, methods=["POST"]),
        Route(COMPLETIONS, _Endpoint(services, "text").create, methods=["POST"]),
        # the Lambda Web Adapter asks here whether the application is up
        Route(HEALTH, _health, methods=["GET"]),
        *(Route(path, _SnapshotHook(step).run, methods=["POST"]) for path, step in services.snapshot_hooks.items()),
    ]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        services.warm_up()
        yield

    app = Starlette(routes=routes, exception_handlers=HANDLERS, lifespan=lifespan)
    # a redirect would name this process's host, which nobody outside of Lambda can reach
    app.router.redirect_slashes = False
    return Envelope(app, new_request_id=services.ids.request_id)


async def _health(_request: Request) -> Response:
    return Response('{"status":"ok"}', media_type="application/json")


@dataclass(frozen=True, slots=True)
class _SnapshotHook:
    """A route for the adapter alone. API Gateway has no way to it, and the adapter refuses invocations of it: this is
    the third lock."""

    step: Callable[[], None]

    async def run(self, request: Request) -> Response:
        if INVOCATION in request.headers:
            raise HTTPException(404)
        self.step()
        return Response(status_code=204)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    services: ChatServices
    kind: Kind

    async def create(self, request: Request) -> Response:
        """Parses, then leaves the rest to the response."""
        services = self.services
        key = read_key(request.headers.get("authorization"))
        try:
            body = await read_body(request, max_bytes=services.max_body_bytes)
            if len(body) < LARGE_BODY_BYTES:
                asked, order = self._order(body, key)
            else:
                asked, order = await asyncio.to_thread(self._order, body, key)
        except GatewayError as error:
            # a stranger is told that he is one, not what is wrong with his request
            account = await services.access.account_of(key, scope="chat")
            error.headers |= rate_limit_headers(account, now_s=services.clock.now_s())
            raise
        face = Face(
            include_usage=asked.include_usage,
            headers=_ignored_header(asked.unknown_fields),
            on_settled=services.on_settled,
        )
        return GenerationResponse(services.generate, order, face)

    def _order(self, body: bytes, key: ApiKey) -> tuple[Sampling, Order]:
        if self.kind == "chat":
            chat = parse_chat_request(body)
            return chat, self.services.orders.of_chat(chat, key=key)
        completion = parse_completion_request(body)
        return completion, self.services.orders.of_completion(completion, key=key)


def _ignored_header(names: tuple[str, ...]) -> dict[str, str]:
    """`x-ignored-params`: only names that are safe in a header, and not endlessly many."""
    safe = [name for name in names if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name)][:_MAX_NAMES]
    return {"x-ignored-params": ", ".join(safe)} if safe else {}
