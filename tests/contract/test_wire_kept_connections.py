"""Our HTTP/1.1 client: connections that died while they were kept."""

from __future__ import annotations

import asyncio

import pytest
from gateway.adapters.aws.wire.errors import ConnectionLost
from gateway.adapters.aws.wire.pool import KEPT_S, Origin, Pool

from tests.support.raw_server import Visit, raw_server, whole
from tests.support.wire_client import LONG_S, MOST, ask_whole, echo, serving, until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_connection_that_was_closed_while_it_was_kept_is_seen_before_it_is_used(repeatable: bool) -> None:
    closed = asyncio.Event()

    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(whole(b"one"))
        if visit.number == 0:
            visit.writer.close()
            closed.set()
            return
        await visit.request()

    async with serving(serve) as (server, client):
        await ask_whole(client)
        await closed.wait()
        # no turn of the loop in between that could tell of it: the socket itself is looked at
        assert await ask_whole(client, b"again", repeatable=repeatable) == b"one"
        assert len(server.visits) == 2


async def test_one_that_dies_by_a_request_is_replaced_once_where_the_request_may_be_repeated() -> None:
    requests = 0

    async def serve(visit: Visit) -> None:
        nonlocal requests
        while await visit.request() is not None:
            requests += 1
            if requests in (2, 3):
                return  # taken, and closed without a word
            await visit.send(whole(b"%d" % visit.number))

    async with serving(serve) as (server, client):
        assert await ask_whole(client) == b"0"
        with pytest.raises(ConnectionLost):
            await ask_whole(client)  # the second, and in its place the third: a new connection is not replaced
        assert requests == 3
        assert await ask_whole(client) == b"2"
        assert len(server.visits) == 3


async def test_one_that_dies_by_a_request_is_not_replaced_where_the_request_was_taken_and_may_not_be_repeated() -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(whole(b"one"))
        await visit.request()

    async with serving(serve) as (server, client):
        await ask_whole(client, repeatable=False)
        with pytest.raises(ConnectionLost) as lost:
            await ask_whole(client, repeatable=False)
        assert (lost.value.heard, lost.value.taken) == (False, True)
        assert len(server.visits) == 1


async def test_one_that_dies_before_it_took_all_of_a_request_is_replaced_whatever_the_request() -> None:
    large = b"x" * (32 << 20)  # more than sockets hold between them

    async def serve(visit: Visit) -> None:
        if visit.number == 0:
            await visit.request()
            await visit.send(whole(b"one"))
            await visit.reader.readuntil(b"\r\n\r\n")
            visit.reset()
            return
        request = await visit.request()
        assert request is not None
        await visit.send(whole(b"%d" % len(request.partition(b"\r\n\r\n")[2])))

    async with serving(serve) as (server, client):
        await ask_whole(client)
        assert await ask_whole(client, large, repeatable=False) == b"%d" % len(large)
        assert len(server.visits) == 2


async def test_one_that_was_idle_for_long_is_not_trusted() -> None:
    now_s = 1000.0
    async with raw_server(echo) as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        pool = Pool(Origin(host, int(port), None), limit=2, now_s=lambda: now_s)

        async def use() -> bool:
            connection, used_before = await pool.take()
            answer = connection.ask(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
            await answer.whole(most_bytes=MOST, timeout_s=LONG_S)
            answer.close()
            return used_before

        assert not await use()
        now_s += KEPT_S - 1
        assert await use()
        now_s += KEPT_S
        assert not await use()
        now_s -= 3600  # a clock that was set back says nothing of how long it was
        assert not await use()
        pool.close()
        await until(lambda: pool.working == 0)
