"""The account application: models, usage, keys, health, and the document of the whole API. Buffered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI
from pydantic import Field
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from gateway.application.access import Access, read_key
from gateway.application.keyring import Keyring, find_key
from gateway.application.orders import Orders
from gateway.application.ports import Clock, Ids, Lines
from gateway.application.reporting import UsageReport
from gateway.catalogue import Catalogue
from gateway.domain.admission import Account, KeyRecord, Scope, rate_limit_headers
from gateway.domain.errors import GatewayError
from gateway.domain.models import Model
from gateway.domain.wire import WireModel, parse_json_object, parse_request
from gateway.entrypoints.http.body import read_body
from gateway.entrypoints.http.docs_page import render_docs
from gateway.entrypoints.http.envelope import Envelope
from gateway.entrypoints.http.errors import HANDLERS
from gateway.entrypoints.http.openapi import describe_api

MAX_BODY_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountServices:
    """What the account application needs."""

    access: Access
    keyring: Keyring
    report: UsageReport
    lines: Lines
    orders: Orders
    catalogue: Catalogue
    clock: Clock
    ids: Ids


class NewKey(WireModel):
    """POST /v1/keys."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = "key"
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=2)] = Field(default=["chat"])
    replaces: Annotated[str, Field(min_length=1, max_length=64)] | None = None


EXPECTED = {
    "name": "a string of 1 to 64 characters",
    "scopes": "an array of 'chat' and 'admin', at least one",
    "replaces": "the id of the key whose place the new one takes",
}


def build_account_app(services: AccountServices) -> Envelope:
    """The ASGI application of the account function."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, exception_handlers=HANDLERS)
    app.include_router(_Routes(services).router())
    document = describe_api()
    page = render_docs(document)
    app.add_api_route("/openapi.json", _constant(JSONResponse(document)))
    app.add_api_route("/docs", _constant(HTMLResponse(page)))
    return Envelope(app, new_request_id=services.ids.request_id)


def _constant(response: Response) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return response

    return answer


@dataclass(frozen=True, slots=True)
class _Routes:
    services: AccountServices

    def router(self) -> APIRouter:
        router = APIRouter()
        for method, path, endpoint in (
            ("GET", "/health", self.health),
            ("GET", "/v1/models", self.list_models),
            ("GET", "/v1/models/{id}", self.show_model),
            ("GET", "/v1/usage", self.show_usage),
            ("GET", "/v1/keys", self.list_keys),
            ("POST", "/v1/keys", self.create_key),
            ("GET", "/v1/keys/{id}", self.show_key),
            ("DELETE", "/v1/keys/{id}", self.delete_key),
            ("POST", "/v1/keys/{id}/disable", self.disable_key),
            ("POST", "/v1/keys/{id}/enable", self.enable_key),
        ):
            router.add_api_route(path, endpoint, methods=[method])
        return router

    async def health(self) -> Response:
        return JSONResponse({"status": "ok"})

    async def list_models(self, request: Request) -> Response:
        account = await self._account(request, scope=None)
        models = self.services.catalogue.models.values()
        data = await asyncio.gather(*(self._model(model) for model in models))
        return self._answer({"object": "list", "data": data}, account)

    async def show_model(self, request: Request) -> Response:
        account = await self._account(request, scope=None)

        async def show() -> dict[str, Any]:
            return await self._model(self.services.orders.model(request.path_params["id"]))

        return await self._for(account, show)

    async def show_usage(self, request: Request) -> Response:
        account = await self._account(request, scope=None)
        return self._answer(await self.services.report.of(account), account)

    async def list_keys(self, request: Request) -> Response:
        account = await self._account(request, scope="admin")
        keys = sorted(account.keys.values(), key=lambda key: (key.created_s, key.id))
        return self._answer({"object": "list", "data": [_key(key) for key in keys]}, account)

    async def show_key(self, request: Request) -> Response:
        account = await self._account(request, scope="admin")

        async def show() -> dict[str, Any]:
            return _key(find_key(account, request.path_params["id"]))

        return await self._for(account, show)

    async def create_key(self, request: Request) -> Response:
        account = await self._account(request, scope="admin")

        async def create() -> dict[str, Any]:
            body = await read_body(request, max_bytes=MAX_BODY_BYTES)
            asked = parse_request(NewKey, parse_json_object(body or b"{}"), expected=EXPECTED)
            key, text = await self.services.keyring.create(
                account, name=asked.name, scopes=frozenset(asked.scopes), replaces=asked.replaces
            )
            return {**_key(key), "key": text}

        return await self._for(account, create, status=201)

    async def disable_key(self, request: Request) -> Response:
        return await self._switch(request, enabled=False)

    async def enable_key(self, request: Request) -> Response:
        return await self._switch(request, enabled=True)

    async def delete_key(self, request: Request) -> Response:
        account = await self._account(request, scope="admin")
        id_ = request.path_params["id"]

        async def delete() -> dict[str, Any]:
            await self.services.keyring.delete(account, id_)
            return {"id": id_, "object": "key", "deleted": True}

        return await self._for(account, delete)

    async def _switch(self, request: Request, *, enabled: bool) -> Response:
        account = await self._account(request, scope="admin")
        id_ = request.path_params["id"]

        async def switch() -> dict[str, Any]:
            return _key(await self.services.keyring.set_enabled(account, id_, enabled=enabled))

        return await self._for(account, switch)

    async def _for(
        self, account: Account, make: Callable[[], Awaitable[dict[str, Any]]], *, status: int = 200
    ) -> Response:
        try:
            return self._answer(await make(), account, status=status)
        except GatewayError as error:
            error.headers |= rate_limit_headers(account, now_s=self.services.clock.now_s())
            raise

    async def _account(self, request: Request, *, scope: Scope | None) -> Account:
        key = read_key(request.headers.get("authorization"))
        return await self.services.access.account_of(key, scope=scope)

    async def _model(self, model: Model) -> dict[str, Any]:
        line = await self.services.lines.look(model.id)
        return {
            "id": model.id,
            "object": "model",
            "created": model.created,
            "owned_by": model.owner,
            "type": "chat",
            "name": model.name,
            "description": model.description,
            "context_length": model.context_tokens,
            "max_completion_tokens": model.max_completion_tokens,
            "input_modalities": ["text", "image"] if model.vision else ["text"],
            "pricing": {
                "currency": "USD",
                "per_tokens": 1_000_000,
                "prompt": float(model.prompt_usd_per_million),
                "completion": float(model.completion_usd_per_million),
            },
            "status": line.status,
        }

    def _answer(self, body: dict[str, Any], account: Account, *, status: int = 200) -> Response:
        headers = rate_limit_headers(account, now_s=self.services.clock.now_s())
        return JSONResponse(body, status_code=status, headers=headers | {"cache-control": "no-store"})


def _key(key: KeyRecord) -> dict[str, Any]:
    """A key as it is shown: never its secret, nor its hash."""
    return {
        "id": key.id,
        "object": "key",
        "name": key.name,
        "enabled": key.enabled,
        "scopes": sorted(key.scopes),
        "created": key.created_s,
    }
