"""A small HTTP/1.1 server that can do what a test of failures needs: notice a caller that leaves, and cut a reply.

Protocol by h11, sockets by asyncio.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http.client import responses

import h11

_READ_BYTES = 65536


class ConnectionCut(Exception):
    """Raised by a handler: the TCP connection is dropped as it stands, without an end of the body."""


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request; header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Reply:
    """Where a handler writes: one `send`, or one `start` and any number of `write`s."""

    def __init__(self, connection: h11.Connection, writer: asyncio.StreamWriter) -> None:
        self._connection = connection
        self._writer = writer

    async def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole reply."""
        await self.start(status, {**headers, "Content-Length": str(len(body))})
        await self.write(body)

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Status line and headers; the body is chunked unless its length is among them."""
        reason = responses.get(status, "")
        await self._put(h11.Response(status_code=status, headers=list(headers.items()), reason=reason.encode()))

    async def write(self, data: bytes) -> None:
        """A piece of the body, on the wire when this returns to a caller that reads."""
        await self._put(h11.Data(data=data))

    async def end(self) -> None:
        """The end of the body; the server calls it."""
        await self._put(h11.EndOfMessage())

    async def _put(self, event: h11.Event) -> None:
        data = self._connection.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()


Handler = Callable[[Request, Reply], Awaitable[None]]


async def serve_connection(handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection until either side ends it.

    The handler is cancelled the moment the caller closes the connection.
    """
    connection = h11.Connection(h11.SERVER)
    try:
        while (request := await _next_request(connection, reader)) is not None:
            reply = Reply(connection, writer)
            if not await _answer_unless_left(handler, request, reply, connection=connection, reader=reader):
                break
            if (connection.our_state, connection.their_state) != (h11.DONE, h11.DONE):
                break
            connection.start_next_cycle()
        writer.close()
    except (ConnectionCut, ConnectionError, h11.RemoteProtocolError):
        writer.transport.abort()
    except BaseException:
        writer.transport.abort()
        raise


async def _next_request(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
            return Request(head.method.decode(), head.target.decode("latin-1"), headers, bytes(body))
        else:
            return None


async def _answer_unless_left(
    handler: Handler, request: Request, reply: Reply, *, connection: h11.Connection, reader: asyncio.StreamReader
) -> bool:
    """Whether the caller stayed to the end of its answer."""

    async def answer() -> None:
        await handler(request, reply)
        await reply.end()

    answering = asyncio.create_task(answer())
    listening = asyncio.create_task(reader.read(_READ_BYTES))
    try:
        await asyncio.wait({answering, listening}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            early = await listening
            if not early and not answering.done():
                return False
            # A caller that sends its next request early is no longer watched; none of ours does.
            connection.receive_data(early)
        await answering
    finally:
        for task in (answering, listening):
            task.cancel()
        await asyncio.wait({answering, listening})
        if not answering.cancelled():
            answering.exception()
    return True


class LoopbackServer:
    """Serves one handler on a free port of 127.0.0.1 until closed."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """Listen; the server's base URL."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return f"http://{host}:{port}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await serve_connection(self._handler, reader, writer)
        except asyncio.CancelledError:
            # Only `close` cancels; asyncio before 3.12 would log it as a failure of this callback.
            pass
        finally:
            self._connections.discard(task)

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
