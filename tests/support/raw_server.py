"""A server whose every byte is the test's: for clients of HTTP/1.1, on the test's own event loop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Serve = Callable[["Visit"], Awaitable[None]]


@dataclass(slots=True)
class Visit:
    """One connection: its number from 0, and both its ends."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes | None:
        """The next whole request, None where the client has left."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        return head + (await self.reader.readexactly(int(length[1])) if length else b"")

    async def send(self, *pieces: bytes) -> None:
        """Each piece in a write of its own, as far as the client takes it."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    def reset(self) -> None:
        """Drops the connection as it stands."""
        self.writer.transport.abort()


@dataclass
class RawServer:
    """Where it listens, and who came."""

    url: str = ""
    visits: list[Visit] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def raw_server(serve: Serve) -> AsyncIterator[RawServer]:
    """A server on a free port that calls `serve` for each connection and closes it behind that."""
    server = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        visit = Visit(len(server.visits), reader, writer)
        server.visits.append(visit)
        try:
            await serve(visit)
        except (asyncio.CancelledError, ConnectionError):
            pass  # the client left, or the test is over
        finally:
            tasks.discard(task)
            writer.close()

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for visit in server.visits:
            transport = visit.writer.transport
            if not transport.is_closing() or transport.get_write_buffer_size():  # one that has closed by itself can't
                transport.abort()
        await asyncio.sleep(0)


def whole(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """An answer of a known length."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers, b"", b""]
    return b"\r\n".join(lines) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
