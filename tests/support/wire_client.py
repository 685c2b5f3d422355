"""The wire client before a server that does what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.adapters.aws.wire.client import WireClient
from gateway.adapters.aws.wire.connection import Answer
from gateway.adapters.aws.wire.credentials import FixedCredentials
from gateway.adapters.aws.wire.pool import Pool
from gateway.adapters.aws.wire.signing import Credentials

from tests.support.raw_server import RawServer, Serve, Visit, raw_server, whole

LONG_S = 20.0
MOST = 1 << 20


def client_of(url: str, *, limit: int = 4) -> WireClient:
    environment = {"AWS_ENDPOINT_URL": url}
    keys = FixedCredentials(Credentials("id", "secret"))
    return WireClient("dynamodb", environment, region="us-east-1", credentials=keys, limit=limit)


@asynccontextmanager
async def serving(serve: Serve, *, limit: int = 4) -> AsyncIterator[tuple[RawServer, WireClient]]:
    async with raw_server(serve) as server:
        yield server, client_of(server.url, limit=limit)


async def ask(client: WireClient, body: bytes = b"{}", *, timeout_s: float = LONG_S, repeatable: bool = True) -> Answer:
    return await client.post("/", {"x-name": "value"}, body, timeout_s=timeout_s, repeatable=repeatable)


async def ask_whole(client: WireClient, body: bytes = b"{}", *, repeatable: bool = True) -> bytes:
    answer = await ask(client, body, repeatable=repeatable)
    try:
        return await answer.whole(most_bytes=MOST, timeout_s=LONG_S)
    finally:
        answer.close()


async def read_into(received: bytearray, answer: Answer) -> None:
    while parts := await answer.read(timeout_s=LONG_S):
        received += b"".join(parts)


async def until(condition: object) -> None:
    """Returns when `condition()` holds; the test's own time limit ends a wait for ever."""
    while not condition():  # type: ignore[operator]
        await asyncio.sleep(0.005)


def pool_of(client: WireClient) -> Pool:
    (pool, _) = client._pools[asyncio.get_running_loop()]
    return pool


async def echo(visit: Visit) -> None:
    """Answers each request with its body."""
    while (request := await visit.request()) is not None:
        await visit.send(whole(request.partition(b"\r\n\r\n")[2]))
