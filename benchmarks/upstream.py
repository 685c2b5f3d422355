"""The scripted upstream: an engine that costs nothing and says the same each time.

One process, four faces: OpenAI's chat completions, SageMaker's InvokeEndpointWithResponseStream, Bedrock's Converse and
ConverseStream, and a DynamoDB that takes every write at once and keeps none. `max_tokens` (Bedrock's `maxTokens`) is
how many frames an answer has, `seed` how many milliseconds lie before each; Bedrock has no such field, and no pause.
GET /calls tells, and forgets, which operations were called, in their order. `BENCH_PORT` is where it listens; it takes
a free port without one.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

from benchmarks import bedrock
from infra.local.event_stream import CONTENT_TYPE, encode_payload_part

PROMPT_TOKENS = 20
ENGINE_CALL = "InvokeEndpointWithResponseStream"
_CHUNK_HEAD = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}


def _event(**fields: Any) -> bytes:
    return b"data: " + json.dumps({**_CHUNK_HEAD, **fields}, separators=(",", ":")).encode() + b"\n\n"


def _choice(delta: dict[str, Any], reason: str | None = None) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "finish_reason": reason}]


@cache
def words(count: int) -> tuple[str, ...]:
    """The texts of an answer's frames; the client checks that they come in order."""
    return tuple(f"w{number} " for number in range(count))


@cache
def frames(count: int) -> tuple[bytes, ...]:
    """The events of an answer, the first and the last ones of no text included in their neighbours."""
    texts = [_event(choices=_choice({"content": text})) for text in words(count)]
    texts[0] = _event(choices=_choice({"role": "assistant", "content": ""})) + texts[0]
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": count, "total_tokens": PROMPT_TOKENS + count}
    texts[-1] += _event(choices=_choice({}, "stop")) + _event(choices=[], usage=usage) + b"data: [DONE]\n\n"
    return tuple(texts)


@cache
def parts(count: int) -> tuple[bytes, ...]:
    """The same answer as SageMaker sends it, one part a frame."""
    return tuple(encode_payload_part(frame) for frame in frames(count))


@cache
def whole(count: int) -> bytes:
    """The buffered answer."""
    message = {"role": "assistant", "content": "".join(words(count))}
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": count, "total_tokens": PROMPT_TOKENS + count}
    body = {
        **_CHUNK_HEAD,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }
    return json.dumps(body).encode()


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests come one after the other."""

    def __init__(self, account: bytes, calls: list[str]) -> None:
        self._account = account
        self._calls = calls
        self._buffer = bytearray()
        self._transport: asyncio.Transport
        self._writing: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        if self._writing is not None:
            self._writing.cancel()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("expect") == "100-continue" and len(self._buffer) == end + 4:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding") == "chunked":
            if not self._buffer.endswith(b"0\r\n\r\n") or len(self._buffer) == end + 4:
                return
            body = _unchunk(bytes(self._buffer[end + 4 :]))
        else:
            length = int(headers.get("content-length", "0"))
            if len(self._buffer) < end + 4 + length:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
        self._buffer.clear()
        self._answer(first.split(" ")[1], headers.get("x-amz-target"), body)

    def _answer(self, path: str, target: str | None, body: bytes) -> None:
        if target is not None:
            self._calls.append(target)
            written = self._account if b'"ReturnValues":"ALL_NEW"' in body.replace(b": ", b":") else b"{}"
            self._send(written, "application/x-amz-json-1.0")
        elif path == "/calls":
            told = json.dumps(self._calls).encode()
            self._calls.clear()
            self._send(told, "application/json")
        elif path.startswith("/endpoints/"):
            self._calls.append(ENGINE_CALL)
            asked = json.loads(body)
            self._start_stream(parts(asked["max_tokens"]), CONTENT_TYPE, asked)
        elif path.startswith("/model/"):
            self._answer_bedrock(path.rpartition("/")[2], words(json.loads(body)["inferenceConfig"]["maxTokens"]))
        elif (listing := bedrock.LISTINGS.get(path.partition("?")[0])) is not None:
            self._send(listing, "application/json")
        else:
            asked = json.loads(body)
            if asked.get("stream"):
                self._start_stream(frames(asked["max_tokens"]), "text/event-stream", asked)
            else:
                self._send(whole(asked["max_tokens"]), "application/json")

    def _answer_bedrock(self, operation: str, texts: tuple[str, ...]) -> None:
        if operation == "converse-stream":
            self._start_stream(bedrock.converse_stream(texts, PROMPT_TOKENS), CONTENT_TYPE, {})
        else:
            self._send(bedrock.converse(texts, PROMPT_TOKENS), "application/json")

    def _send(self, body: bytes, content_type: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)

    def _start_stream(self, pieces: tuple[bytes, ...], content_type: str, asked: dict[str, Any]) -> None:
        self._writing = asyncio.create_task(self._stream(pieces, content_type, asked.get("seed", 0) / 1000))

    async def _stream(self, pieces: tuple[bytes, ...], content_type: str, pause_s: float) -> None:
        self._transport.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for piece in pieces:
            if pause_s:
                await asyncio.sleep(pause_s)
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await self._room.wait()
        self._transport.write(b"0\r\n\r\n")


def _unchunk(data: bytes) -> bytes:
    return b"".join(_chunks(data))


def _chunks(data: bytes) -> Iterator[bytes]:
    start = 0
    while True:
        end = data.index(b"\r\n", start)
        size = int(data[start:end], 16)
        if not size:
            return
        yield data[end + 2 : end + 2 + size]
        start = end + 2 + size + 2


async def main() -> None:
    """Serves until killed; the first line on stdout is the port."""
    attributes = json.loads(os.environ.get("BENCH_ACCOUNT", "{}"))
    account = json.dumps({"Attributes": attributes}).encode()
    calls: list[str] = []
    loop = asyncio.get_running_loop()
    port = int(os.environ.get("BENCH_PORT", "0"))
    server = await loop.create_server(lambda: Connection(account, calls), "127.0.0.1", port, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
