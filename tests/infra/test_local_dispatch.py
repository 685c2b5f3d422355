"""API Gateway's routing, and the lifespans of the apps behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route as HttpRoute

from infra.local.dispatch import App, Dispatcher, Message
from infra.local.functions import Route

pytestmark = pytest.mark.anyio


def app_named(name: str, events: list[str], *, broken: bool = False) -> App:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        if broken:
            raise RuntimeError("no table")
        events.append(f"{name} up")
        yield {"name": name}
        events.append(f"{name} down")

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse(str(request.state.name))

    return Starlette(routes=[HttpRoute("/{path:path}", answer, methods=["GET", "POST"])], lifespan=lifespan)  # type: ignore[return-value]  # Starlette's ASGI types are wider than ours


class Driver:
    """Plays uvicorn."""

    def __init__(self, app: Dispatcher) -> None:
        self._app = app
        self._orders: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task = asyncio.create_task(app({"type": "lifespan"}, self._orders.get, self._answers.put))

    async def tell(self, order: str) -> str:
        await self._orders.put({"type": f"lifespan.{order}"})
        return str((await self._answers.get())["type"])

    async def get(self, path: str) -> bytes:
        body = bytearray()

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        async def send(message: Message) -> None:
            body.extend(message.get("body", b""))

        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "root_path": ""}
        await self._app(scope, receive, send)
        return bytes(body)


async def test_each_app_starts_answers_with_its_own_state_and_stops() -> None:
    events: list[str] = []
    chat, account = app_named("chat", events), app_named("account", events)
    driver = Driver(
        Dispatcher([(chat, [Route("ANY", "/v1/chat/completions")]), (account, [Route("ANY", "/{proxy+}")])])
    )
    assert await driver.tell("startup") == "lifespan.startup.complete"
    assert await driver.get("/v1/chat/completions") == b'"chat"'
    assert await driver.get("/v1/models") == b'"account"'
    assert await driver.tell("shutdown") == "lifespan.shutdown.complete"
    assert events == ["chat up", "account up", "chat down", "account down"]


async def test_a_startup_that_fails_fails_the_server() -> None:
    driver = Driver(Dispatcher([(app_named("chat", [], broken=True), [])]))
    assert await driver.tell("startup") == "lifespan.startup.failed"


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/v1/keys", "keys"),
        ("GET", "/v1/keys", "rest"),
        ("GET", "/v1/keys/k1", "one"),
        ("GET", "/v1/keys/mine", "mine"),
        ("GET", "/v1/keys/k1/more", "rest"),
        ("GET", "/", "rest"),
        ("POST", "/v1/keys.x", "rest"),
    ],
)
async def test_a_request_goes_where_api_gateway_sends_it(method: str, path: str, name: str) -> None:
    apps = {name: app_named(name, []) for name in ("keys", "one", "mine", "rest")}
    dispatcher = Dispatcher(
        [
            (apps["one"], [Route("ANY", "/v1/keys/{id}")]),
            (apps["mine"], [Route("GET", "/v1/keys/mine")]),
            (apps["keys"], [Route("POST", "/v1/keys")]),
            (apps["rest"], [Route("ANY", "/{proxy+}")]),
        ]
    )
    assert dispatcher.app_for(method, path) is apps[name]
