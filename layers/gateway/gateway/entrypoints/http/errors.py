"""Errors as HTTP answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.domain.errors import GatewayError, InvalidRequest, MethodNotAllowed, NotFound, ServerError


def error_response(error: GatewayError, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer of CONTRACT "Errors"."""
    all_headers = {**(headers or {}), **error.headers}
    if error.retry_after_s is not None:
        all_headers["retry-after"] = str(error.retry_after_s)
    return JSONResponse(error.body(), status_code=error.status, headers=all_headers)


async def answer_gateway_error(_request: Request, error: Exception) -> Response:
    """Starlette's handler for our own errors."""
    assert isinstance(error, GatewayError)
    return error_response(error)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's handler for what its router raises: no such route, no such method."""
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path!r:.200}"
    ours: GatewayError
    if error.status_code == 404:
        ours = NotFound(f"There is no route {where}. See /openapi.json.", reason="route_not_found")
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        ours = MethodNotAllowed(f"{where} is not allowed; allowed: {allowed}.", headers={"Allow": allowed})
    elif error.status_code < 500:
        ours = InvalidRequest(str(error.detail))
    else:
        ours = ServerError()
    return error_response(ours)


async def answer_failure(_request: Request, _error: Exception) -> Response:
    """Starlette's handler for what nobody foresaw; it raises the error again afterwards, and `Envelope` logs it."""
    return error_response(ServerError())


HANDLERS: dict[Any, Any] = {
    GatewayError: answer_gateway_error,
    HTTPException: answer_http_exception,
    Exception: answer_failure,
}
