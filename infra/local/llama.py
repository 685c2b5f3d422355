"""llama.cpp's server on loopback as an engine of the stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import cycle
from urllib.parse import urlsplit

import h11

from infra.local.engine_plug import EngineAnswer, Refusal, StreamFault, cut

# Coprime with each other and with nothing in the stream: parts end inside lines and characters, as SageMaker's do.
_PART_SIZES = (211, 1021, 13, 509, 97)
_READ_BYTES = 65536


class LlamaEngine:
    """Sends each invocation to `/v1/chat/completions` on a connection of its own."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = str(address.hostname), address.port

    @asynccontextmanager
    async def answer(self, body: bytes) -> AsyncIterator[EngineAnswer]:
        """See EnginePlug. llama.cpp stops generating when it sees its connection closed."""
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            raise Refusal(503, "ServiceUnavailable", "The engine does not accept connections.") from None
        try:
            connection = h11.Connection(h11.CLIENT)
            request = h11.Request(
                method="POST",
                target="/v1/chat/completions",
                headers=[
                    ("Host", f"{self._host}:{self._port}"),
                    ("Content-Type", "application/json"),
                    ("Content-Length", str(len(body))),
                    ("Connection", "close"),
                ],
            )
            for event in (request, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(connection.send(event) or b"")
            await writer.drain()
            head = await _next_event(connection, reader)
            if not isinstance(head, h11.Response):
                raise Refusal(500, "InternalFailure", "The engine closed its connection without an answer.")
            async with aclosing(_parts(connection, reader)) as parts:
                yield EngineAnswer(head.status_code, _content_type(head), parts)
        finally:
            writer.transport.abort()


async def _parts(connection: h11.Connection, reader: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
    sizes = cycle(_PART_SIZES)
    while True:
        event = await _next_event(connection, reader)
        if isinstance(event, h11.Data):
            for piece in cut(bytes(event.data), sizes):
                yield piece
        elif isinstance(event, h11.EndOfMessage):
            return
        else:
            raise StreamFault("ModelStreamError", "The engine closed its connection.", "StreamBroken")


async def _next_event(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    """The next event of the engine's answer; `h11.ConnectionClosed` for any early end."""
    try:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
    except (h11.RemoteProtocolError, ConnectionError):
        return h11.ConnectionClosed()
    return event


def _content_type(head: h11.Response) -> str:
    return next((value.decode("latin-1") for name, value in head.headers if name == b"content-type"), "")
