"""The account application: everything but generation itself. Buffered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gateway.entrypoints.http.desk import Desk, Operation
from gateway.entrypoints.http.docs_page import render_docs
from gateway.entrypoints.http.envelope import Envelope
from gateway.entrypoints.http.errors import HANDLERS
from gateway.entrypoints.http.openapi import describe_api


def build_account_app(desk: Desk, operations: Sequence[Operation], *, new_request_id: Callable[[], str]) -> Envelope:
    """The ASGI application of the account function. Health and the documents need no key: they hold no account."""
    document = describe_api()
    routes = [
        Route("/health", _constant(lambda: JSONResponse({"status": "ok"}))),
        Route("/openapi.json", _constant(lambda: JSONResponse(document))),
        Route("/docs", _constant(lambda: HTMLResponse(render_docs(document)))),
        *desk.routes(operations),
    ]
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    app.router.redirect_slashes = False
    return Envelope(app, new_request_id=new_request_id)


def _constant(make: Callable[[], Response]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_request: Request) -> Response:
        return make()

    return answer
