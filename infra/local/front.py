"""What API Gateway does for the functions before they see a request: bounds on a head, on its time, and on the odd.

uvicorn alone keeps a head of any size in memory, waits for the rest of a request for ever, and answers bad HTTP in
plain text. Here as there, each refusal has the error shape.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from gateway.adapters.system import SystemIds
from gateway.domain.errors import InvalidRequest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES = 10_240
"""API Gateway's limit: the request line and all header values together."""
REQUEST_S = 30.0
"""A request must be here within this time of its first byte, and its first byte of the connection."""


class HeadTooLarge(InvalidRequest):
    """431."""

    status = 431


class RequestTooSlow(InvalidRequest):
    """408."""

    status = 408


class FrontProtocol(HttpToolsProtocol):
    """A client's connection."""

    request_s = REQUEST_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._head_bytes: int | None = 0
        self._refusal: InvalidRequest | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        # not yet a whole head, and more than one may have: what the parser holds of it is let go
        if self._head_bytes is not None and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(_head_too_large())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._start_timer()

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        if len(self.url) + sum(len(value) for _, value in self.headers) > MAX_HEAD_BYTES:
            self._refusal = _head_too_large()
            raise ValueError  # the parser ends, and `send_400_response` is called
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        self._stop_timer()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        self._refuse(self._refusal or InvalidRequest("This is no HTTP request that can be read."))

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.request_s, self._time_is_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        if self._is_answering():  # a second request on the connection waits for the first one's answer
            self._start_timer()
        else:
            self._refuse(RequestTooSlow(f"The request was not here within {self.request_s:g} seconds."))

    @property
    def _last_cycle(self) -> RequestResponseCycle | None:
        return self.cycle  # None until the first request, whatever its declaration says

    def _is_answering(self) -> bool:
        cycle = self._last_cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _refuse(self, error: InvalidRequest) -> None:
        """Answers unless an answer is under way, which must not be written into; ends the connection either way."""
        cycle = self._last_cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_answer(error))
        self.transport.close()


def _head_too_large() -> HeadTooLarge:
    return HeadTooLarge(f"The request line and the headers have more than {MAX_HEAD_BYTES} bytes.")


def _answer(error: InvalidRequest) -> bytes:
    body = json.dumps(error.body()).encode()
    headers: dict[str, Any] = {
        "content-type": "application/json",
        "content-length": len(body),
        "connection": "close",
        "access-control-allow-origin": "*",
        "x-request-id": SystemIds().request_id(),
    }
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
