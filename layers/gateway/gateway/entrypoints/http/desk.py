"""What every account route does around its own work: finds out who asks, and answers with that account's limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.application.access import Access, read_key
from gateway.application.ports import Clock
from gateway.domain.admission import Account, Scope, rate_limit_headers
from gateway.domain.errors import GatewayError
from gateway.domain.keys import ApiKey


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what."""

    account: Account
    key: ApiKey
    request: Request

    @property
    def id(self) -> str:
        """The id in the path."""
        id_: str = self.request.path_params["id"]
        return id_


Work = Callable[[Caller], Awaitable[Mapping[str, Any] | Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A method on a path. `scope` None asks only that the key is good."""

    method: str
    path: str
    work: Work
    scope: Scope | None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Desk:
    """Serves operations."""

    access: Access
    clock: Clock

    def routes(self, operations: Iterable[Operation]) -> list[Route]:
        """One route for each path, so that a wrong method is answered with all that are right."""
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            by_path.setdefault(operation.path, {})[operation.method] = operation
        return [Route(path, self._endpoint(methods), methods=list(methods)) for path, methods in by_path.items()]

    def _endpoint(self, methods: Mapping[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            return await self._serve(request, methods[method])

        return endpoint

    async def _serve(self, request: Request, operation: Operation) -> Response:
        key = read_key(request.headers.get("authorization"))
        account = await self.access.account_of(key, scope=operation.scope)
        headers = rate_limit_headers(account, now_s=self.clock.now_s()) | {"cache-control": "no-store"}
        try:
            answer = await operation.work(Caller(account, key, request))
        except GatewayError as error:
            error.headers |= headers
            raise
        if isinstance(answer, Response):
            answer.headers.update(headers)
            return answer
        return JSONResponse(answer, status_code=operation.status, headers=headers)
