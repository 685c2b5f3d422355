"""Our HTTP/1.1 client against real sockets: what an answer may look like."""

from __future__ import annotations

import asyncio

import pytest
from gateway.adapters.aws.wire.errors import AnswerTimeout, TransportFailed

from tests.support.raw_server import CHUNKED, LAST_CHUNK, Visit, chunk, whole
from tests.support.wire_client import LONG_S, MOST, ask, ask_whole, echo, read_into, serving, until

pytestmark = pytest.mark.anyio


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


async def test_each_wait_on_a_kept_connection_has_its_own_time() -> None:
    pauses_s = iter([0.0, 0.25, 0.0, 5.0])

    async def serve(visit: Visit) -> None:
        while await visit.request() is not None:
            await asyncio.sleep(next(pauses_s))
            await visit.send(whole(b"done"))

    async with serving(serve) as (server, client):
        for timeout_s in (0.1, LONG_S, LONG_S):  # the second waits past the first one's time
            answer = await ask(client, timeout_s=timeout_s)
            assert await answer.whole(most_bytes=MOST, timeout_s=timeout_s) == b"done"
            answer.close()
        with pytest.raises(AnswerTimeout):  # long before the second one's
            await ask(client, timeout_s=0.1)
        assert len(server.visits) == 1
