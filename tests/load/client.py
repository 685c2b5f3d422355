"""Clients by the hundred: one coroutine a request, every frame's number looked at."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

CHAT = "/v1/chat/completions"
_WORD = re.compile(rb'"content":"w(\d+) "')
PATIENCE_S = 900


@dataclass
class Told:
    """What one client was told. `status` 0: the connection was refused or broke before a status line."""

    asked_s: float
    status: int = 0
    reason: str | None = None
    retry_after_s: int | None = None
    frames: int = 0
    in_order: bool = True
    done: bool = False
    error: str | None = None
    """The reason of an error inside the stream."""
    ended_s: float = 0.0
    tokens: int | None = None

    @property
    def took_s(self) -> float:
        return self.ended_s - self.asked_s

    @property
    def whole(self) -> bool:
        return self.status == 200 and self.done and self.in_order


@dataclass(frozen=True)
class Caller:
    """Who asks: a port, a key, and how long an answer is."""

    port: int
    key: str
    model: str
    frames: int
    pause_ms: int
    on_open: Callable[[], None] = field(default=lambda: None)

    async def ask(self) -> Told:
        """One stream from its request to its end."""
        told = Told(time.monotonic())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._ask(told)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        told.ended_s = time.monotonic()
        self.on_open()  # once more, or at last: whoever waits for all to be open must not wait for one that was refused
        return told

    async def _ask(self, told: Told) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(self._request())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            told.status = int(head.split(b" ", 2)[1])
            if told.status != 200:
                await self._read_refusal(told, head, reader)
                return
            self.on_open()
            while size := int(await reader.readuntil(b"\r\n"), 16):
                for event in (await reader.readexactly(size + 2)).split(b"\n\n")[:-1]:
                    self._take(told, event)
        finally:
            writer.transport.abort()

    def _request(self) -> bytes:
        body = json.dumps(
            {
                "model": self.model,
                "messages": [{"role": "user", "content": "Count."}],
                "max_tokens": self.frames,
                "seed": self.pause_ms,
                "stream": True,
            }
        )
        return (
            f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.key}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    async def _read_refusal(self, told: Told, head: bytes, reader: asyncio.StreamReader) -> None:
        length, after = re.search(rb"content-length: (\d+)", head), re.search(rb"retry-after: (\d+)", head)
        body = json.loads(await reader.readexactly(int(length[1]) if length else 0))
        told.reason = body["error"].get("reason") or body["error"]["type"]
        told.retry_after_s = int(after[1]) if after else None

    def _take(self, told: Told, event: bytes) -> None:
        word = _WORD.search(event)
        if word is not None:
            told.in_order &= int(word[1]) == told.frames
            told.frames += 1
        elif event == b"data: [DONE]":
            told.done = True
        elif b'"error"' in event:
            error = json.loads(event.removeprefix(b"data: "))["error"]
            told.error = error.get("reason") or error["type"]
        elif b'"usage":{' in event:
            told.tokens = json.loads(event.removeprefix(b"data: "))["usage"]["total_tokens"]
