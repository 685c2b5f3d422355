"""The engine on SageMaker: InvokeEndpointWithResponseStream, read by the event loop itself.

A stream is a connection: the loop reads it as fast as its reader asks, and closing it closes the socket at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pydantic_core import from_json, to_json

from gateway.adapters.aws._errors import (
    engine_busy,
    engine_timeout,
    stream_broken,
    translate_invoke_error,
    translate_stream_error,
)
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.wire.client import read_refusal
from gateway.adapters.aws.wire.connection import Answer
from gateway.adapters.aws.wire.errors import AnswerTimeout, AwsRefusal, TransportFailed
from gateway.adapters.aws.wire.event_stream import EventStreamDecoder, Message, NotAnEventStream
from gateway.domain.errors import GatewayError
from gateway.domain.models import Model

_OPERATION = "InvokeEndpointWithResponseStream"
_MOST_REFUSAL_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class SageMakerEngine:
    """Keeps the promises of `ports.Engine`. A model's endpoint and its inference component have the same name."""

    clients: Clients
    stack_name: str

    async def open(self, model: Model, body: Mapping[str, Any], *, timeout_s: float) -> SageMakerStream:
        """See `ports.Engine.open`."""
        name = model.resource_name(self.stack_name)
        headers = {
            "content-type": "application/json",
            "x-amzn-sagemaker-accept": "text/event-stream",
            "x-amzn-sagemaker-inference-component": name,
        }
        path = f"/endpoints/{quote(name, safe='')}/invocations-response-stream"
        client = self.clients.wire("sagemaker-runtime")
        try:
            # a generation is never repeated behind the client's back
            answer = await client.post(path, headers, to_json(body), timeout_s=timeout_s, repeatable=False)
        except AnswerTimeout:
            raise engine_timeout() from None
        except TransportFailed:
            raise engine_busy() from None
        if answer.status == 200:
            return SageMakerStream(answer)
        try:
            refusal = await read_refusal(answer, _OPERATION, most_bytes=_MOST_REFUSAL_BYTES, timeout_s=timeout_s)
        except TransportFailed:
            raise engine_busy() from None
        finally:
            answer.close()
        raise translate_invoke_error(refusal) or _without_message(refusal)


class SageMakerStream:
    """Keeps the promises of `ports.EngineStream` over one answer of the runtime."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._decoder = EventStreamDecoder()
        self._failure: GatewayError | None = None

    async def read(self, *, timeout_s: float) -> list[bytes] | None:
        """See `ports.EngineStream.read`."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        while self._failure is None:
            try:
                data = await self._answer.read(timeout_s=until_s - loop.time())
            except TransportFailed:
                raise stream_broken() from None
            if data is None:
                return None
            if not data:
                if not self._decoder.is_between:
                    raise stream_broken()
                return []
            if parts := self._parts(data):
                return parts
        raise self._failure

    def close(self, *, whole: bool = False) -> None:
        """See `ports.EngineStream.close`."""
        self._answer.close(drain=whole)

    def _parts(self, data: list[bytes]) -> list[bytes]:
        """The payloads that have come whole; a failure behind them is kept for the next read."""
        parts: list[bytes] = []
        try:
            for some in data:
                parts.extend(map(_payload_of, self._decoder.feed(some)))  # what raises leaves those before it
        except NotAnEventStream:
            self._failure = stream_broken()
        except GatewayError as failure:
            self._failure = failure
        return parts


def _payload_of(message: Message) -> bytes:
    """The bytes of a PayloadPart. Raises the GatewayError of an exception in the stream."""
    if message.headers.get(":message-type") == "event":
        return message.payload
    members: Any = {}
    if ":exception-type" in message.headers:
        try:
            members = from_json(message.payload)
        except ValueError:
            raise stream_broken() from None
    raise translate_stream_error(members)


def _without_message(error: AwsRefusal) -> AwsRefusal:
    """The error for the log: a refusal's message may quote the body, and that holds a prompt."""
    return AwsRefusal(error.code, status=error.status, operation=error.operation)
