"""The plug of llama.cpp's server, against a loopback server that plays llama.cpp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from infra.local.engine_plug import Refusal, StreamFault
from infra.local.http_server import ConnectionCut, Handler, LoopbackServer, Reply, Request
from infra.local.llama import LlamaEngine

pytestmark = pytest.mark.anyio

EVENT_STREAM = {"Content-Type": "text/event-stream"}
EVENTS = [b"data: " + bytes([65 + number]) * 700 + b"\n\n" for number in range(5)]


@asynccontextmanager
async def engine_of(handler: Handler) -> AsyncIterator[LlamaEngine]:
    server = LoopbackServer(handler)
    try:
        yield LlamaEngine(await server.start())
    finally:
        await server.close()


async def test_the_body_goes_to_chat_completions_and_every_byte_comes_back_cut_anew() -> None:
    asked: list[Request] = []

    async def play(request: Request, reply: Reply) -> None:
        asked.append(request)
        await reply.start(200, EVENT_STREAM)
        for event in EVENTS:
            await reply.write(event)

    async with engine_of(play) as engine, engine.answer(b'{"messages":[]}') as answer:
        parts = [part async for part in answer.parts]
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
    assert (asked[0].method, asked[0].target, asked[0].body) == ("POST", "/v1/chat/completions", b'{"messages":[]}')
    assert b"".join(parts) == b"".join(EVENTS)
    assert len(parts) > len(EVENTS)


async def test_a_refusal_of_the_engine_is_an_answer_with_its_status() -> None:
    async def play(_request: Request, reply: Reply) -> None:
        await reply.send(400, {"Content-Type": "application/json"}, b'{"error":{}}')

    async with engine_of(play) as engine, engine.answer(b"{}") as answer:
        assert (answer.status, b"".join([part async for part in answer.parts])) == (400, b'{"error":{}}')


async def test_a_connection_that_breaks_in_the_stream_is_a_stream_fault_after_what_came() -> None:
    async def play(_request: Request, reply: Reply) -> None:
        await reply.start(200, EVENT_STREAM)
        await reply.write(b"data: x\n\n")
        await asyncio.sleep(0.05)
        raise ConnectionCut

    got: list[bytes] = []

    async def read(parts: AsyncIterator[bytes]) -> None:
        async for part in parts:
            got.append(part)  # noqa: PERF401 - kept when the loop ends by an exception

    async with engine_of(play) as engine, engine.answer(b"{}") as answer:
        with pytest.raises(StreamFault) as caught:
            await read(answer.parts)
    assert (caught.value.kind, caught.value.error_code) == ("ModelStreamError", "StreamBroken")
    assert got == [b"data: x\n\n"]


async def test_a_connection_that_breaks_before_the_answer_is_a_refusal() -> None:
    async def play(_request: Request, _reply: Reply) -> None:
        raise ConnectionCut

    async with engine_of(play) as engine:
        with pytest.raises(Refusal, match="without an answer"):
            async with engine.answer(b"{}"):
                pass


async def test_an_engine_that_is_not_there_is_a_refusal() -> None:
    with pytest.raises(Refusal, match="does not accept connections"):
        async with LlamaEngine("http://127.0.0.1:9").answer(b"{}"):
            pass


async def test_leaving_the_answer_closes_the_engines_connection() -> None:
    gone = asyncio.Event()

    async def play(_request: Request, reply: Reply) -> None:
        await reply.start(200, EVENT_STREAM)
        await reply.write(b"data: x\n\n")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            gone.set()
            raise

    async with engine_of(play) as engine:
        async with engine.answer(b"{}") as answer:
            assert await anext(answer.parts) == b"data: x\n\n"
        await asyncio.wait_for(gone.wait(), 5)
