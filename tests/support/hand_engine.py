"""An engine whose every piece is let out by the test's own hand: what arrives before the next one is let out was not
held back by anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.local.engine_plug import EngineAnswer, StreamFault

_PATIENCE_S = 60


class HandCall:
    """One call of the engine: `give` lets a piece out, `end` ends it, `left` is set when nobody listens any more."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.left = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[bytes | StreamFault | None] = asyncio.Queue()

    def give(self, *pieces: bytes | StreamFault) -> None:
        for piece in pieces:
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, None)

    async def parts(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            if isinstance(piece, StreamFault):
                raise piece
            yield piece

    def wait_left(self) -> bool:
        """Whether the caller went away within the patience of a test."""
        return self.left.wait(_PATIENCE_S)


class HandEngine:
    """Keeps its calls in order."""

    def __init__(self) -> None:
        self.calls: list[HandCall] = []
        self._changed = threading.Condition()

    @asynccontextmanager
    async def answer(self, body: bytes) -> AsyncIterator[EngineAnswer]:
        call = HandCall(body)
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
        try:
            yield EngineAnswer(200, "text/event-stream", call.parts())
        finally:
            call.left.set()

    def call(self, number: int) -> HandCall:
        """The call of this number, from 0, as soon as it has come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.calls) > number, _PATIENCE_S), "the engine was not called"
        return self.calls[number]
