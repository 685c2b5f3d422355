"""The SageMaker engine against the stand-in, with every fault of FACTS "SageMaker", and against hostile sockets."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.sagemaker import SageMakerEngine, SageMakerStream
from gateway.catalogue import load_catalogue
from gateway.domain.engine import ContextExceeded
from gateway.domain.errors import GatewayError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local import event_stream
from infra.local.credentials import STACK_NAME, local_environment
from infra.local.engine_plug import Refusal, StreamFault
from infra.local.http_server import ConnectionCut
from infra.local.standin import start_sagemaker_standin
from tests.support.eventually import eventually
from tests.support.hand_engine import HandEngine
from tests.support.scripted_engine import (
    INTERNAL_DEPENDENCY,
    INTERNAL_STREAM_FAILURE,
    MODEL_NOT_READY,
    NO_CAPACITY,
    SERVICE_UNAVAILABLE,
    STREAM_BROKEN,
    TIMED_OUT,
    Script,
    ScriptedEngine,
)
from tests.support.stack import MODEL, Switch, borrowed_environment, endpoint_of

pytestmark = pytest.mark.anyio

SMALL = load_catalogue().models[MODEL]
BODY = {"messages": [{"role": "user", "content": "h\u00e9"}], "max_tokens": 5}
LONG_S = 20.0
TEXT = 'data: {"content": "h\u00e9 \U0001f600"}\n\n'.encode()


def engine_at(url: str) -> SageMakerEngine:
    """The adapter with clients that call this address."""
    with borrowed_environment({**local_environment({}), "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url}):
        clients = Clients()
        clients.wire("sagemaker-runtime")
    return SageMakerEngine(clients, STACK_NAME)


@pytest.fixture(scope="module")
def switch() -> Switch:
    return Switch(ScriptedEngine([Script()]))


@pytest.fixture(scope="module")
def engine(switch: Switch) -> Iterator[SageMakerEngine]:
    stand_in = start_sagemaker_standin({endpoint_of(MODEL): switch})
    yield engine_at(stand_in.url)
    stand_in.stop()


async def open_stream(engine: SageMakerEngine) -> SageMakerStream:
    return await engine.open(SMALL, BODY, timeout_s=LONG_S)


async def read_all(stream: SageMakerStream, received: bytearray | None = None) -> bytes:
    """All bytes up to the end, kept in `received` too. Fails for a read that gives up before its time."""
    received = bytearray() if received is None else received
    while parts := await stream.read(timeout_s=LONG_S):
        received += b"".join(parts)
    assert parts == []
    return bytes(received)


def at_work(engine: SageMakerEngine) -> int:
    """Connections that an answer still has."""
    return engine.clients.wire("sagemaker-runtime").working


async def none_at_work(engine: SageMakerEngine) -> bool:
    return await asyncio.to_thread(eventually, lambda: not at_work(engine))


async def test_the_body_arrives_as_it_was_given_and_the_answer_whole(engine: SageMakerEngine, switch: Switch) -> None:
    switch.engine = scripted = ScriptedEngine([Script(pieces=[TEXT, TEXT])])
    assert await read_all(await open_stream(engine)) == TEXT * 2
    assert json.loads(scripted.bodies[0]) == BODY


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=6))
async def test_parts_come_in_order_wherever_lines_and_characters_are_cut(
    engine: SageMakerEngine, switch: Switch, sizes: list[int]
) -> None:
    switch.engine = ScriptedEngine([Script(pieces=[TEXT] * 3, part_sizes=sizes)])
    assert await read_all(await open_stream(engine)) == TEXT * 3


async def test_a_part_is_there_before_the_next_is_made(engine: SageMakerEngine, switch: Switch) -> None:
    switch.engine = by_hand = HandEngine()
    stream = await open_stream(engine)
    for number in range(20):
        by_hand.calls[0].give(b"%d" % number)
        assert await stream.read(timeout_s=LONG_S) == [b"%d" % number]
    by_hand.calls[0].end()
    assert await stream.read(timeout_s=LONG_S) == []


async def test_a_silence_past_its_time_is_none_and_loses_nothing(engine: SageMakerEngine, switch: Switch) -> None:
    switch.engine = by_hand = HandEngine()
    stream = await open_stream(engine)
    assert await stream.read(timeout_s=0.01) is None
    assert await stream.read(timeout_s=0.01) is None
    by_hand.calls[0].give(b"late")
    assert await stream.read(timeout_s=LONG_S) == [b"late"]
    stream.close()


@pytest.mark.parametrize(
    ("refusal", "status", "reason"),
    [
        (MODEL_NOT_READY, 503, "model_warming"),
        (SERVICE_UNAVAILABLE, 503, "line_full"),
        (Refusal(400, "ThrottlingException", "Rate exceeded"), 503, "line_full"),
        (INTERNAL_DEPENDENCY, 500, "engine_failed"),
        (Refusal(500, "InternalFailure", "oops"), 500, "engine_failed"),
        (NO_CAPACITY, 503, "model_warming"),
    ],
)
async def test_a_refusal_is_ours_and_happens_once(
    engine: SageMakerEngine, switch: Switch, refusal: Refusal, status: int, reason: str
) -> None:
    switch.engine = scripted = ScriptedEngine([Script(refusal=refusal)])
    with pytest.raises(GatewayError) as caught:
        await open_stream(engine)
    assert (caught.value.status, caught.value.reason) == (status, reason)
    assert len(scripted.bodies) == 1, "a generation is never repeated behind the client's back"
    assert await none_at_work(engine)


async def test_an_endpoint_that_is_not_there_is_a_model_without_a_copy(engine: SageMakerEngine) -> None:
    elsewhere = SageMakerEngine(engine.clients, "another-stack")
    with pytest.raises(GatewayError) as caught:
        await open_stream(elsewhere)
    assert (caught.value.status, caught.value.reason) == (503, "model_warming")


async def test_an_unknown_refusal_is_raised_as_it_is_without_its_message(
    engine: SageMakerEngine, switch: Switch
) -> None:
    switch.engine = ScriptedEngine([Script(refusal=Refusal(418, "UnheardOfException", "the body was: SECRET"))])
    with pytest.raises(Exception, match="UnheardOfException") as caught:
        await open_stream(engine)
    assert not isinstance(caught.value, GatewayError)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, b"CUDA error", (500, "engine_failed")),
        (503, b'{"error":{"message":"Loading model"}}', (503, "model_warming")),
        (429, b"{}", (503, "line_full")),
        (400, b'{"error":{"message":"roles must alternate"}}', (400, None)),
        (422, b"[]", (400, None)),
    ],
)
async def test_the_container_s_refusal_is_ours(
    engine: SageMakerEngine, switch: Switch, status: int, body: bytes, expected: tuple[int, str | None]
) -> None:
    switch.engine = ScriptedEngine([Script(status=status, pieces=[body])])
    with pytest.raises(GatewayError) as caught:
        await open_stream(engine)
    assert (caught.value.status, caught.value.reason) == expected
    assert "alternate" not in caught.value.message


@pytest.mark.parametrize(
    "message",
    [
        {"type": "exceed_context_size_error", "message": "too long", "n_prompt_tokens": 9100, "n_ctx": 8192},
        {
            "message": "This model's maximum context length is 8192 tokens. However, you requested 10100 tokens "
            "(9100 in the messages, 1000 in the completion)."
        },
        {"message": "This model's maximum context length is 8192 tokens. However, your request has 9100 input tokens."},
    ],
    ids=["llama.cpp", "vllm", "vllm-later"],
)
async def test_a_refusal_for_the_context_tells_both_numbers(
    engine: SageMakerEngine, switch: Switch, message: dict[str, object]
) -> None:
    switch.engine = ScriptedEngine([Script(status=400, pieces=[json.dumps({"error": message}).encode()])])
    with pytest.raises(ContextExceeded) as caught:
        await open_stream(engine)
    assert (caught.value.prompt_tokens, caught.value.context_tokens) == (9100, 8192)


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (STREAM_BROKEN, 500, "stream_broken"),
        (TIMED_OUT, 504, "engine_timeout"),
        (INTERNAL_STREAM_FAILURE, 500, "stream_broken"),
        (StreamFault("SomethingNew", "?"), 500, "stream_broken"),
        (ConnectionCut(), 500, "stream_broken"),
    ],
)
@pytest.mark.parametrize("pieces", [0, 1, 50])
async def test_a_fault_in_the_stream_comes_after_every_part_before_it(
    engine: SageMakerEngine, switch: Switch, fault: StreamFault | ConnectionCut, status: int, reason: str, pieces: int
) -> None:
    switch.engine = ScriptedEngine([Script(pieces=[TEXT] * pieces, ending=fault)])
    stream = await open_stream(engine)
    received = bytearray()
    with pytest.raises(GatewayError) as caught:
        await read_all(stream, received)
    stream.close()
    assert (caught.value.status, caught.value.reason) == (status, reason)
    if not isinstance(fault, ConnectionCut):  # a reset may overtake what was on its way
        assert bytes(received) == TEXT * pieces
    assert await none_at_work(engine)


async def test_close_stops_the_engine_and_ends_the_connection_while_a_part_is_waited_for(
    engine: SageMakerEngine, switch: Switch
) -> None:
    switch.engine = by_hand = HandEngine()
    streams = [await open_stream(engine) for _ in range(10)]
    by_hand.calls[0].give(b"one")
    assert await streams[0].read(timeout_s=LONG_S) == [b"one"]
    assert at_work(engine) == 10
    for stream in streams:
        stream.close()
        stream.close()
    assert await asyncio.to_thread(lambda: all(call.wait_left() for call in by_hand.calls))
    assert await none_at_work(engine)


async def test_a_cancelled_open_leaves_nothing(engine: SageMakerEngine, switch: Switch) -> None:
    switch.engine = by_hand = HandEngine()
    for _ in range(10):
        opening = asyncio.create_task(open_stream(engine))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    assert await none_at_work(engine)
    assert await asyncio.to_thread(lambda: all(call.wait_left() for call in by_hand.calls))


async def test_a_hundred_streams_at_once_each_keep_their_order(engine: SageMakerEngine, switch: Switch) -> None:
    switch.engine = scripted = ScriptedEngine([Script(pieces=[b"%d," % n for n in range(200)])])
    expected = b"".join(b"%d," % n for n in range(200))

    async def one() -> bytes:
        stream = await open_stream(engine)
        try:
            return await read_all(stream)
        finally:
            stream.close(whole=True)

    assert await asyncio.gather(*(one() for _ in range(100))) == [expected] * 100
    assert scripted.open_calls == 0
    assert await none_at_work(engine)


@contextmanager
def server_that_answers(*data: bytes, then_waits: bool = False) -> Iterator[str]:
    """The URL of a socket that reads a request and answers these bytes, whatever they are."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                read_request(connection)
                for some in data:
                    connection.sendall(some)
                if then_waits:
                    over.wait(LONG_S)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        thread.join()


def read_request(connection: socket.socket) -> None:
    """All of it: closing a socket with bytes unread resets it, and takes what was sent along."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])  # type: ignore[index]
    while len(body) < length:
        body += connection.recv(65536)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n"
MESSAGE = event_stream.encode_payload_part(TEXT)
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


@pytest.mark.parametrize("size", [1, 3, 11, 12, 13, 17, len(MESSAGE) - 1, len(MESSAGE) + 1, 2 * len(MESSAGE)])
async def test_messages_may_be_cut_over_http_chunks_anywhere(size: int) -> None:
    data = MESSAGE * 3
    chunks = [chunk(data[start : start + size]) for start in range(0, len(data), size)]
    with server_that_answers(HEAD, *chunks, END) as url:
        assert await read_all(await open_stream(engine_at(url))) == TEXT * 3


@pytest.mark.parametrize(
    "rest",
    [
        chunk(MESSAGE) + chunk(MESSAGE)[:20],
        chunk(MESSAGE),
        chunk(MESSAGE) + b"zz\r\n",
        chunk(MESSAGE[:-1] + b"\x00") + END,
        chunk(b"\xff" * 100) + END,
    ],
    ids=["cut-in-a-chunk", "cut-between-chunks", "no-chunk", "wrong-checksum", "no-event-stream"],
)
async def test_a_transport_that_breaks_is_a_broken_stream(rest: bytes) -> None:
    with server_that_answers(HEAD, rest) as url:
        engine = engine_at(url)
        stream = await open_stream(engine)
        with pytest.raises(GatewayError) as caught:
            await read_all(stream)
        stream.close()
    assert caught.value.reason == "stream_broken"
    assert await none_at_work(engine)


async def test_nobody_listening_is_a_busy_model() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(GatewayError) as caught:
        await open_stream(engine_at(f"http://127.0.0.1:{port}"))
    assert (caught.value.status, caught.value.reason) == (503, "line_full")


async def test_a_connection_closed_before_any_answer_is_a_busy_model() -> None:
    with server_that_answers() as url, pytest.raises(GatewayError) as caught:
        await open_stream(engine_at(url))
    assert (caught.value.status, caught.value.reason) == (503, "line_full")


async def test_a_silence_past_the_deadline_before_any_answer_is_a_timeout() -> None:
    with server_that_answers(then_waits=True) as url:
        engine = engine_at(url)
        with pytest.raises(GatewayError) as caught:
            await engine.open(SMALL, BODY, timeout_s=0.05)
    assert (caught.value.status, caught.value.reason) == (504, "engine_timeout")
    assert await none_at_work(engine)
