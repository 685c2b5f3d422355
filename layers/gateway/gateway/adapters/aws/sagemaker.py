"""Engines behind SageMaker: InvokeEndpointWithResponseStream, one thread a stream.

The thread makes the call, then fills a deque and wakes the loop. A hop through the executor for each part would cost
ten times the rest of a frame (FACTS "The cost of a frame"), and calls that wait for a first token would keep the
executor's threads from the table.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.eventstream import EventStreamBuffer, ParserError
from botocore.exceptions import BotoCoreError, ClientError, EventStreamError
from pydantic_core import from_json, to_json

from gateway.adapters.aws._errors import (
    TRANSPORT_ERRORS,
    code_of,
    engine_busy,
    engine_timeout,
    stream_broken,
    translate_invoke_error,
    translate_stream_error,
)
from gateway.adapters.aws.clients import Clients
from gateway.domain.models import Model

DRAIN_S = 1.0
"""The end of a body follows the end of its answer at once; a container that keeps it open loses the connection."""


@dataclass(frozen=True, slots=True)
class SageMakerEngine:
    """Keeps the promises of `ports.Engine`. A model's endpoint and its inference component have the same name."""

    clients: Clients
    stack_name: str

    async def open(self, model: Model, body: Mapping[str, Any], *, timeout_s: float) -> SageMakerStream:
        """See `ports.Engine.open`."""
        name = model.resource_name(self.stack_name)
        client = self.clients.get("sagemaker-runtime")

        def invoke() -> Any:
            answer = client.invoke_endpoint_with_response_stream(
                EndpointName=name,
                InferenceComponentName=name,
                ContentType="application/json",
                Accept="text/event-stream",
                Body=to_json(body),
            )
            return answer["Body"]

        stream = SageMakerStream(invoke)
        try:
            await stream.opened(timeout_s=timeout_s)
        except BaseException:
            stream.close()
            raise
        return stream


class SageMakerStream:
    """Keeps the promises of `ports.EngineStream` over botocore's EventStream."""

    def __init__(self, invoke: Callable[[], Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._body: Any = None
        self._parts: deque[bytes] = deque()
        self._opened = False
        self._ended = False
        self._closed = False
        self._failure: Exception | None = None
        self._wanted: asyncio.Future[None] | None = None
        self._wake_pending = False
        threading.Thread(target=self._run, args=(invoke,), name="sagemaker-stream", daemon=True).start()

    async def opened(self, *, timeout_s: float) -> None:
        """Returns when SageMaker has answered. Raises the GatewayError of its refusal."""
        if self._body is None and not self._ended:
            await self._next_wake(timeout_s)
        if self._body is None:
            raise self._failure or engine_timeout()
        # a stream that has failed already is open all the same: its parts are read first
        self._opened = True

    async def read(self, *, timeout_s: float) -> list[bytes] | None:
        """See `ports.EngineStream.read`."""
        if not self._parts and not self._ended:
            await self._next_wake(timeout_s)
        ended = self._ended  # looked at before the parts: behind it none comes, between the two looks one may
        if self._parts:
            parts = []
            while self._parts:
                parts.append(self._parts.popleft())
            return parts
        if not ended:
            return None
        if self._failure is not None:
            raise self._failure
        return []

    def close(self, *, whole: bool = False) -> None:
        """See `ports.EngineStream.close`: the connection goes, which is all that the transport can tell.

        Behind a whole answer the thread has a moment to read what is left, so that the connection goes back to the
        pool: the next stream needs no handshake.
        """
        if whole:
            self._loop.call_later(DRAIN_S, self._shut_down)
        else:
            self._shut_down()

    def _shut_down(self) -> None:
        self._closed = True
        if self._body is not None and not self._ended:
            # closing a socket does not wake a thread that reads it, and botocore hands out no other way to the socket
            with suppress(OSError, RuntimeError, ValueError):
                self._body._raw_stream.shutdown()

    async def _next_wake(self, timeout_s: float) -> None:
        self._wanted = self._loop.create_future()
        timer = self._loop.call_later(timeout_s, _resolve, self._wanted)
        try:
            await self._wanted
        finally:
            timer.cancel()
            self._wanted = None

    def _run(self, invoke: Callable[[], Any]) -> None:
        try:
            self._body = invoke()
            self._wake()
            if not self._closed:  # close() looks the other way round: one of the two sees the other
                self._read_parts(self._body)
        except EventStreamError as error:
            self._failure = translate_stream_error(error)
        except ClientError as error:
            self._failure = translate_invoke_error(error) or _without_message(error)
        except TRANSPORT_ERRORS:
            self._failure = engine_busy() if self._body is None else stream_broken()
        except ParserError:
            self._failure = stream_broken()
        except BotoCoreError as error:
            self._failure = error
        finally:
            self._ended = True
            if self._body is not None:
                self._body.close()
            self._wake()

    def _read_parts(self, body: Any) -> None:
        buffer = EventStreamBuffer()
        for data in body._raw_stream.stream():
            buffer.add_data(data)
            for message in buffer:
                self._parts.append(_payload_of(message))
                self._wake()
            if self._closed:
                return

    def _wake(self) -> None:
        if not self._wake_pending:
            self._wake_pending = True
            with suppress(RuntimeError):  # the loop is closed: nobody reads any more
                self._loop.call_soon_threadsafe(self._on_wake)

    def _on_wake(self) -> None:
        self._wake_pending = False
        # a wake can come late, when what it tells of has been read: that would pass for a silence
        if self._wanted is not None and (self._parts or self._ended or not self._opened):
            _resolve(self._wanted)


def _without_message(error: ClientError) -> ClientError:
    """The error for the log: a refusal's message may quote the body, and that holds a prompt."""
    kept = {"Error": {"Code": code_of(error)}, "ResponseMetadata": error.response.get("ResponseMetadata", {})}
    return ClientError(kept, error.operation_name)


def _payload_of(message: Any) -> bytes:
    """The bytes of a PayloadPart. Raises EventStreamError with all members of an exception in the stream.

    botocore's own parser drops `ErrorCode`, which alone tells a model that was too slow from one that broke.
    """
    if message.headers.get(":message-type") == "event":
        payload: bytes = message.payload
        return payload
    members = from_json(message.payload) if ":exception-type" in message.headers else {}
    code = message.headers.get(":exception-type") or message.headers.get(":error-code", "")
    raise EventStreamError({**members, "Error": {"Code": code}}, "InvokeEndpointWithResponseStream")


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
