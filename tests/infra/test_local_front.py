"""What the local run does in API Gateway's place: heads within bounds, requests within a time, errors in shape."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import ClassVar

import anyio
import anyio.abc
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from infra.local.front import MAX_HEAD_BYTES, FrontProtocol

pytestmark = pytest.mark.anyio


class HastyProtocol(FrontProtocol):
    """Waits for no request longer than this, and tells when it has."""

    request_s = 0.2
    time_was_up: ClassVar[anyio.Event]

    def _time_is_up(self) -> None:
        super()._time_is_up()
        self.time_was_up.set()


class Front:
    """An app behind the protocol; `go` lets the slow route end."""

    def __init__(self) -> None:
        self.go = anyio.Event()
        self.port = 0

    async def size(self, request: Request) -> Response:
        return JSONResponse({"bytes": len(await request.body())})

    async def slow(self, _: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"begun "
            await self.go.wait()
            yield b"ended"

        return StreamingResponse(parts())


@pytest.fixture(params=[FrontProtocol])
async def front(request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    front = Front()
    HastyProtocol.time_was_up = anyio.Event()
    app = Starlette(
        routes=[Route("/size", front.size, methods=["POST"]), Route("/slow", front.slow)],
    )
    config = uvicorn.Config(app, host="127.0.0.1", port=0, http=request.param, ws="none", log_level="critical")
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        while not server.started:
            await anyio.sleep(0.005)
        front.port = server.servers[0].sockets[0].getsockname()[1]
        yield front
        server.should_exit = server.force_exit = True


async def said(front: Front, *parts: bytes) -> bytes:
    """All that comes back to these bytes until the server closes the connection."""
    got = b""
    with anyio.fail_after(20), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        async with await anyio.connect_tcp("127.0.0.1", front.port) as client:
            with suppress(anyio.BrokenResourceError):  # it had heard enough
                for part in parts:
                    await client.send(part)
            while True:
                got += await client.receive()
    return got


def refused(answer: bytes, status: int) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer[:300]
    error = json.loads(body)["error"]
    assert error.keys() == {"message", "type", "code", "param"}
    assert (error["type"], error["code"]) == ("invalid_request_error", status)
    assert b"x-request-id: " in head
    assert b"access-control-allow-origin: *" in head


def post(*headers: bytes, body: bytes = b"abc") -> bytes:
    length = b"Content-Length: %d" % len(body)
    return (
        b"\r\n".join([b"POST /size HTTP/1.1", b"Host: x", b"Connection: close", length, *headers]) + b"\r\n\r\n" + body
    )


async def test_a_good_request_is_served(front: Front) -> None:
    assert (await said(front, post())).endswith(b'{"bytes":3}')


async def test_a_body_may_be_larger_than_a_head(front: Front) -> None:
    answer = await said(front, post(body=b"x" * 100_000))
    assert answer.endswith(b'{"bytes":100000}')


@pytest.mark.parametrize(
    "head",
    [
        b"X-Long: " + b"a" * MAX_HEAD_BYTES,
        b"X-Endless: " + b"a" * 1_000_000,
        b"\r\n".join(b"X-%d: %d" % (n, n * 1000) for n in range(3000)),
    ],
    ids=["long", "endless", "many"],
)
async def test_a_head_over_the_bound_is_refused(front: Front, head: bytes) -> None:
    refused(await said(front, post(head)), 431)


async def test_a_head_that_never_ends_is_refused_before_its_end(front: Front) -> None:
    begun = b"POST /size HTTP/1.1\r\nX-Endless: "
    refused(await said(front, begun, *[b"a" * 4096] * 4), 431)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"BREW /pot HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        post(b"X-Bad: a\x00b"),
        post(b"Transfer-Encoding: chunked"),
        post(b"Content-Length: 9"),
        b"POST /size HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /size HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_refused_in_the_error_shape(front: Front, data: bytes) -> None:
    refused(await said(front, data), 400)


async def test_a_websocket_is_no_upgrade_but_a_request(front: Front) -> None:
    answer = await said(front, post(b"Connection: upgrade", b"Upgrade: websocket", body=b""))
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("front", [HastyProtocol], indirect=True)
@pytest.mark.parametrize("begun", [b"", b"POST /si", b"POST /size HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"])
async def test_a_request_that_does_not_come_is_not_waited_for(front: Front, begun: bytes) -> None:
    refused(await said(front, *[begun] if begun else []), 408)


@pytest.mark.parametrize("front", [HastyProtocol], indirect=True)
@pytest.mark.parametrize("behind", [b"", b"POST /si"])
async def test_the_time_of_a_request_does_not_cut_the_answer_before_it(front: Front, behind: bytes) -> None:
    async with await anyio.connect_tcp("127.0.0.1", front.port) as client:
        await client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + behind)
        with anyio.fail_after(20):
            if behind:
                await HastyProtocol.time_was_up.wait()
            front.go.set()
            assert b"ended" in await read_until(client, b"ended")


async def test_nothing_is_written_into_an_answer_under_way(front: Front) -> None:
    with anyio.fail_after(20):
        async with await anyio.connect_tcp("127.0.0.1", front.port) as client:
            await client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            await read_until(client, b"begun")
            await client.send(b"\x00\x01\x02")
            with pytest.raises(anyio.EndOfStream):
                await client.receive()
    front.go.set()


async def read_until(client: anyio.abc.SocketStream, mark: bytes) -> bytes:
    got = b""
    while mark not in got:
        got += await client.receive()
    return got
