"""Our HTTP/1.1 client: time, size, turns, and the end of a connection."""

from __future__ import annotations

import asyncio

import pytest
from gateway.adapters.aws.wire.client import WireClient, read_refusal
from gateway.adapters.aws.wire.connection import HIGH_WATER
from gateway.adapters.aws.wire.errors import AnswerTimeout, TransportFailed

from tests.support.raw_server import CHUNKED, LAST_CHUNK, Visit, chunk, raw_server, whole
from tests.support.wire_client import LONG_S, MOST, ask, ask_whole, client_of, echo, pool_of, serving, until

pytestmark = pytest.mark.anyio


async def test_a_slow_head_is_a_timeout_and_ends_the_connection() -> None:
    left = asyncio.Event()

    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-")
        await visit.reader.read()
        left.set()

    async with serving(serve) as (_, client):
        with pytest.raises(AnswerTimeout):
            await ask(client, timeout_s=0.05)
        await left.wait()
        await until(lambda: client.working == 0)


async def test_a_silence_within_a_body_is_a_timeout() -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await visit.request()

    async with serving(serve) as (_, client):
        answer = await ask(client)
        with pytest.raises(AnswerTimeout):
            await answer.whole(most_bytes=MOST, timeout_s=0.05)
        answer.close()
        await until(lambda: client.working == 0)


async def test_nobody_listening_is_a_failure() -> None:
    async with raw_server(echo) as server:
        pass
    with pytest.raises(TransportFailed):
        await ask(client_of(server.url))


async def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(CHUNKED)
        while True:
            await visit.send(chunk(b"x" * 65536))

    async with serving(serve) as (_, client):
        answer = await ask(client)
        with pytest.raises(TransportFailed, match="more than"):
            await answer.whole(most_bytes=100_000, timeout_s=LONG_S)
        answer.close()
        await until(lambda: client.working == 0)


async def test_a_hundred_megabytes_are_never_held_and_all_of_them_come() -> None:
    piece = b"x" * 65536
    pieces = 1600
    sent = 0

    async def serve(visit: Visit) -> None:
        nonlocal sent
        await visit.request()
        await visit.send(CHUNKED)
        for _ in range(pieces):
            await visit.send(chunk(piece))
            sent += len(piece)
        await visit.send(LAST_CHUNK)

    async with serving(serve) as (_, client):
        answer = await ask(client)
        before = -1
        while before != sent:  # until the server can send no more, for nobody reads
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 20 << 20
        assert answer._held <= HIGH_WATER + (256 << 10)
        received = most = 0
        while parts := await answer.read(timeout_s=LONG_S):
            received += sum(map(len, parts))
            most = max(most, sum(map(len, parts)))
        answer.close()
        assert received == pieces * len(piece)
        assert most <= HIGH_WATER + (256 << 10)


async def test_who_finds_all_connections_at_work_waits_and_is_served_in_turn() -> None:
    go = asyncio.Semaphore(0)
    order: list[int] = []

    async def serve(visit: Visit) -> None:
        while (request := await visit.request()) is not None:
            await go.acquire()
            await visit.send(whole(request.partition(b"\r\n\r\n")[2]))

    async with serving(serve, limit=2) as (server, client):

        async def one(number: int) -> None:
            await ask_whole(client, b"%d" % number)
            order.append(number)

        asking = []
        for number in range(10):
            asking.append(asyncio.create_task(one(number)))
            await asyncio.sleep(0)
        await until(lambda: len(server.visits) == 2)
        for done in range(1, 11):
            go.release()
            await until(lambda done=done: len(order) == done)
        assert sorted(order[:2]) == [0, 1]
        assert order[2:] == list(range(2, 10))
        assert len(server.visits) == 2
        assert client.working == 0


async def test_who_leaves_the_line_leaves_his_turn_to_the_next() -> None:
    go = asyncio.Semaphore(0)

    async def serve(visit: Visit) -> None:
        while await visit.request() is not None:
            await go.acquire()
            await visit.send(whole(b"done"))

    async with serving(serve, limit=1) as (server, client):
        asking = [asyncio.create_task(ask_whole(client)) for _ in range(4)]
        await until(lambda: len(server.visits) == 1)
        asking[1].cancel()
        asking[2].cancel()
        go.release()
        go.release()
        assert [await asking[0], await asking[3]] == [b"done"] * 2
        assert client.working == 0


async def test_closing_an_answer_in_the_middle_ends_its_connection_at_once() -> None:
    left = asyncio.Event()

    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(CHUNKED, chunk(b"one"))
        await visit.reader.read()
        left.set()

    async with serving(serve) as (_, client):
        answer = await ask(client)
        assert await answer.read(timeout_s=LONG_S) == [b"one"]
        answer.close()
        answer.close()
        await left.wait()
        await until(lambda: client.working == 0)


async def test_an_answer_that_is_let_out_to_its_end_gives_its_connection_back() -> None:
    go = asyncio.Event()

    async def serve(visit: Visit) -> None:
        while await visit.request() is not None:
            await visit.send(CHUNKED, chunk(b"all that matters"))
            await go.wait()
            await visit.send(chunk(b"and a rest"), LAST_CHUNK)

    async with serving(serve) as (server, client):
        answer = await ask(client)
        assert await answer.read(timeout_s=LONG_S) == [b"all that matters"]
        answer.close(drain=True)
        assert client.working == 1
        go.set()
        await until(lambda: client.working == 0)
        await ask_whole(client)
        assert len(server.visits) == 1


async def test_forgotten_connections_are_ended_and_one_at_work_is_let_finish() -> None:
    go = asyncio.Event()

    async def serve(visit: Visit) -> None:
        while await visit.request() is not None:
            if visit.number == 1:
                await go.wait()
            await visit.send(whole(b"%d" % visit.number))

    async with serving(serve) as (server, client):
        answer = await ask(client)
        working = asyncio.create_task(ask_whole(client))
        await until(lambda: len(server.visits) == 2)
        assert await answer.whole(most_bytes=MOST, timeout_s=LONG_S) == b"0"
        answer.close()
        client.close()
        await until(server.visits[0].reader.at_eof)
        go.set()
        assert await working == b"1"
        await until(server.visits[1].reader.at_eof)


def test_every_loop_has_connections_of_its_own_and_takes_them_along() -> None:
    clients: list[WireClient] = []

    async def main() -> None:
        async with raw_server(echo) as server:
            clients.append(client_of(server.url))
            await ask_whole(clients[0])
            assert pool_of(clients[0]).idle == 1

    asyncio.run(main())
    assert not clients[0]._pools

    async def again() -> None:
        async with raw_server(echo) as server:
            client = client_of(server.url)
            await asyncio.gather(*(ask_whole(client) for _ in range(3)))

    asyncio.run(again())


@pytest.mark.parametrize(
    ("head", "body", "code", "message"),
    [
        (b"X-A: 1", b'{"__type":"com.amazonaws.dynamodb.v20120810#Gone","message":"m"}', "Gone", "m"),
        (b"x-amzn-ErrorType: ModelError:http://x", b'{"Message":"M"}', "ModelError", "M"),
        (b"X-A: 1", b"<html>", "", ""),
        (b"X-A: 1", b"[1]", "", ""),
        (b"X-A: 1", b"", "", ""),
    ],
)
async def test_a_refusal_is_told_by_its_code_in_both_of_aws_s_json_protocols(
    head: bytes, body: bytes, code: str, message: str
) -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(whole(body, head, status=b"503 Busy"))

    async with serving(serve) as (_, client):
        answer = await ask(client)
        refusal = await read_refusal(answer, "Do", most_bytes=MOST, timeout_s=LONG_S)
        answer.close()
        assert (refusal.code, refusal.status, refusal.operation) == (code, 503, "Do")
        assert message in str(refusal)
