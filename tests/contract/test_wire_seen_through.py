"""A caller who is cancelled while his write is on its way: he leaves when its answer is there, and not before."""

from __future__ import annotations

import asyncio

import pytest
from gateway.adapters.aws.wire.client import WireClient

from tests.support.raw_server import Visit, whole
from tests.support.wire_client import LONG_S, MOST, ask_whole, echo, pool_of, serving, until

pytestmark = pytest.mark.anyio


async def write(client: WireClient, *, timeout_s: float = LONG_S, seen_through: bool = True) -> bytes:
    answer = await client.post(
        "/", {"x-name": "value"}, b"{}", timeout_s=timeout_s, repeatable=True, seen_through=seen_through
    )
    try:
        return await answer.whole(most_bytes=MOST, timeout_s=timeout_s)
    finally:
        answer.close()


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", whole(b"done")[:-2]])
async def test_a_cancelled_caller_leaves_when_the_answer_is_there(begun: bytes, times: int) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(begun)
        asked.set()
        await go.wait()
        await visit.send(whole(b"done")[len(begun) :] if begun[-1:] != b"\n" else b"done")
        await visit.request()
        await visit.send(whole(b"next"))

    async with serving(serve) as (server, client):
        writing = asyncio.create_task(write(client))
        await asked.wait()
        for _ in range(times):
            await asyncio.sleep(0.02)
            writing.cancel()
        await asyncio.sleep(0.05)
        assert not writing.done()
        assert client.working == 1
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert client.working == 0
        assert await ask_whole(client) == b"next"
        assert len(server.visits) == 1


async def test_a_cancellation_that_comes_with_the_answer_loses_neither() -> None:
    async with serving(echo) as (_, client):
        await write(client)
        for turns in range(30):
            writing = asyncio.create_task(write(client))
            for _ in range(turns):
                await asyncio.sleep(0)
            if writing.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await writing
            else:  # it was done before
                assert await writing == b"{}"
            assert client.working == 0


async def test_a_cancellation_and_the_answer_in_one_turn_of_the_loop_lose_neither() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def serve(visit: Visit) -> None:
        while await visit.request() is not None:
            asked.set()
            await go.wait()
            await visit.send(whole(b"done"))

    async with serving(serve) as (_, client):
        for ahead in (True, False):
            asked.clear()
            go.clear()
            writing = asyncio.create_task(write(client))
            await asked.wait()
            (connection,) = pool_of(client)._working
            answer = connection._answer
            assert answer is not None
            if ahead:
                writing.cancel()
            answer.wake()  # what a part that comes does
            if not ahead:
                writing.cancel()
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await writing
            assert client.working == 0


async def test_an_answer_that_never_comes_holds_a_cancelled_caller_no_longer_than_any_other() -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.reader.read()

    async with serving(serve) as (server, client):
        writing = asyncio.create_task(write(client, timeout_s=0.2))
        await until(lambda: bool(server.visits))
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert client.working == 0


async def test_an_answer_that_is_lost_is_not_asked_for_again_for_one_who_has_left() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(whole(b"first"))
        await visit.request()
        asked.set()
        await go.wait()

    async with serving(serve) as (server, client):
        await write(client)
        writing = asyncio.create_task(write(client))
        await asked.wait()
        writing.cancel()
        await asyncio.sleep(0.02)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert len(server.visits) == 1
        assert client.working == 0


async def test_an_answer_that_need_not_be_seen_through_is_left_at_once() -> None:
    left = asyncio.Event()

    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.reader.read()
        left.set()

    async with serving(serve) as (server, client):
        writing = asyncio.create_task(write(client, seen_through=False))
        await until(lambda: bool(server.visits))
        await asyncio.sleep(0.02)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await left.wait()
        assert client.working == 0
