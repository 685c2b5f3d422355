"""Our HTTP/1.1 client against real sockets that do what servers and networks do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from gateway.adapters.aws.wire.client import WireClient, read_refusal
from gateway.adapters.aws.wire.connection import HIGH_WATER, Answer
from gateway.adapters.aws.wire.credentials import FixedCredentials
from gateway.adapters.aws.wire.errors import AnswerTimeout, ConnectionLost, TransportFailed
from gateway.adapters.aws.wire.pool import KEPT_S, Origin, Pool
from gateway.adapters.aws.wire.signing import Credentials

from tests.support.raw_server import CHUNKED, LAST_CHUNK, RawServer, Serve, Visit, chunk, raw_server, whole

pytestmark = pytest.mark.anyio
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


async def test_a_connection_is_kept_and_used_again() -> None:
    async with serving(echo) as (server, client):
        assert [await ask_whole(client, b"%d" % number) for number in range(20)] == [b"%d" % n for n in range(20)]
        assert len(server.visits) == 1
        assert client.working == 0


async def test_a_request_is_whole_signed_and_names_its_host() -> None:
    async def serve(visit: Visit) -> None:
        await visit.send(whole(await visit.request() or b""))

    async with serving(serve) as (server, client):
        request = await ask_whole(client, b"body")
        head = request.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")
        assert head[0] == "post / http/1.1"
        assert f"host: {server.url.removeprefix('http://')}" in head
        assert "content-length: 4" in head
        assert "x-name: value" in head
        assert any(line.startswith("authorization: aws4-hmac-sha256 credential=id/") for line in head)
        assert request.endswith(b"\r\n\r\nbody")


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
async def test_an_answer_may_be_cut_anywhere(size: int) -> None:
    body = b"a long answer: " + bytes(range(256)) * 3
    answers = [whole(body, b"X-Head: 1"), CHUNKED + chunk(body[:100]) + chunk(body[100:]) + LAST_CHUNK]

    async def serve(visit: Visit) -> None:
        for answer in answers:
            await visit.request()
            for start in range(0, len(answer), size):
                await visit.send(answer[start : start + size])

    async with serving(serve) as (server, client):
        assert [await ask_whole(client) for _ in answers] == [body, body]
        assert len(server.visits) == 1


async def test_chunks_come_one_by_one_and_the_end_gives_the_connection_back() -> None:
    go = asyncio.Semaphore(0)

    async def serve(visit: Visit) -> None:
        while await visit.request() is not None:
            await visit.send(CHUNKED)
            for number in range(5):
                await go.acquire()
                await visit.send(chunk(b"%d" % number))
            await go.acquire()
            await visit.send(LAST_CHUNK)

    async with serving(serve) as (server, client):
        for _ in range(2):
            answer = await ask(client)
            assert await answer.read(timeout_s=0.01) is None
            for number in range(5):
                go.release()
                assert await answer.read(timeout_s=LONG_S) == [b"%d" % number]
            go.release()
            assert await answer.read(timeout_s=LONG_S) == []
            answer.close()
        assert len(server.visits) == 1


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\n\r\nall", b" of it")

    async with serving(serve) as (server, client):
        assert [await ask_whole(client) for _ in range(2)] == [b"all of it"] * 2
        assert len(server.visits) == 2


async def test_an_interim_answer_is_passed_over() -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\n", whole(b"real", b"X-B: 2"))

    async with serving(serve) as (_, client):
        answer = await ask(client)
        assert (answer.status, answer.headers[b"x-b"], b"x-a" in answer.headers) == (200, b"2", False)
        assert await answer.whole(most_bytes=MOST, timeout_s=LONG_S) == b"real"
        answer.close()


@pytest.mark.parametrize("connection", [b"Connection: close", b"connection: Close"])
async def test_a_server_that_wants_no_more_is_not_asked_again(connection: bytes) -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(whole(b"bye", connection))
        await visit.request()

    async with serving(serve) as (server, client):
        assert [await ask_whole(client) for _ in range(2)] == [b"bye"] * 2
        assert len(server.visits) == 2


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        CHUNKED + chunk(b"half"),
        CHUNKED + b"a\r\nhalf",
        CHUNKED + b"zz\r\n",
    ],
)
@pytest.mark.parametrize("kept", [False, True])
async def test_a_body_that_breaks_off_is_a_failure_behind_what_came_and_is_not_asked_for_again(
    cut: bytes, kept: bool
) -> None:
    async def serve(visit: Visit) -> None:
        if kept:
            await visit.request()
            await visit.send(whole(b"first"))
        await visit.request()
        await visit.send(cut)

    async with serving(serve) as (server, client):
        if kept:
            await ask_whole(client)
        answer = await ask(client)
        received = bytearray()
        with pytest.raises(TransportFailed):
            await read_into(received, answer)
        answer.close()
        assert received in (b"half", b"")
        assert len(server.visits) == 1
        await until(lambda: client.working == 0)


@pytest.mark.parametrize(
    "answer",
    [
        b"SMTP ready\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_a_failure(answer: bytes) -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(answer)
        await visit.request()

    async with serving(serve) as (_, client):
        with pytest.raises(TransportFailed):
            await ask_whole(client)
        await until(lambda: client.working == 0)


async def test_endless_headers_are_a_failure() -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await visit.send(b"X-More: " + b"x" * 1000 + b"\r\n")

    async with serving(serve) as (_, client):
        with pytest.raises(TransportFailed):
            await ask_whole(client)


async def test_surplus_behind_an_answer_costs_the_connection_and_nothing_else() -> None:
    async def serve(visit: Visit) -> None:
        while await visit.request() is not None:
            await visit.send(whole(b"mine") + whole(b"not mine"))

    async with serving(serve) as (server, client):
        assert [await ask_whole(client) for _ in range(3)] == [b"mine"] * 3
        assert len(server.visits) == 3


# ---------------------------------------------------------------- kept connections that died


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


# ---------------------------------------------------------------- time, size, turns


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
