"""The load: HTTP/1.1 by hand on loopback sockets, as many requests at once as there are connections."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT_S = 300
_WORDS = re.compile(rb'"content":\s?"w(\d+) "')
_FIRST = b'"w0 "'


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a chat is asked for, and under which headers."""

    name: str
    port: int
    pid: int
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str]
    model: str

    def request(self, *, frames: int, stream: bool, pause_ms: int = 0) -> bytes:
        """The bytes of one request."""
        body: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "user", "content": "Count the words that you are told to say. " * 2}],
            "max_tokens": frames,
        }
        if stream:
            body |= {"stream": True, "seed": pause_ms}
        data = json.dumps(body).encode()
        lines = [f"POST {self.path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""]).encode() + data


@dataclass(frozen=True, slots=True)
class Timing:
    """One answer: seconds from the last byte of its request to the first text, and to the end; how many frames."""

    first_s: float
    whole_s: float
    frames: int
    in_order: bool


class WrongAnswer(Exception):
    """An answer that is not what was asked for; nothing is measured on those."""


class Line:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)

    def close(self) -> None:
        self._writer.transport.abort()

    async def ask(self, request: bytes, *, stream: bool) -> Timing:
        """One request and its whole answer. Raises WrongAnswer."""
        began_s = time.perf_counter()
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        first_s = 0.0
        length = re.search(rb"content-length: (\d+)", head)
        if length is not None:
            body = await self._reader.readexactly(int(length[1]))
        else:
            chunks = []
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                chunk = await self._reader.readexactly(size + 2)
                if not first_s and _FIRST in chunk:
                    first_s = time.perf_counter() - began_s
                chunks.append(chunk[:-2])
            await self._reader.readexactly(2)
            body = b"".join(chunks)
        whole_s = time.perf_counter() - began_s
        if not head.startswith(b"http/1.1 200"):
            raise WrongAnswer(f"{head[:40]!r} {body[:300]!r}")
        if not stream:
            return Timing(whole_s, whole_s, body.count(b"w"), b"w0 w1 " in body)
        numbers = _WORDS.findall(body)
        in_order = numbers == [b"%d" % number for number in range(len(numbers))] and b"data: [DONE]" in body
        return Timing(first_s, whole_s, len(numbers), in_order)


async def drive(target: Target, request: bytes, *, open_: int, total: int, stream: bool) -> tuple[list[Timing], float]:
    """`total` answers over `open_` connections, each asking again once it is answered; and the seconds it took."""
    lines = [Line(target.port) for _ in range(open_)]
    await asyncio.gather(*(line.connect() for line in lines))
    left = iter(range(total))
    timings: list[Timing] = []

    async def ask_on(line: Line) -> None:
        timings.extend([await line.ask(request, stream=stream) for _ in left])

    began_s = time.perf_counter()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*map(ask_on, lines))
    finally:
        for line in lines:
            line.close()
    return timings, time.perf_counter() - began_s
