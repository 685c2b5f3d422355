"""An engine whose every answer is written by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle

from infra.local.engine_plug import EngineAnswer, Refusal, StreamFault, cut
from infra.local.http_server import ConnectionCut


@dataclass(frozen=True, kw_only=True)
class Script:
    """One answer: wait, refuse or send the pieces, then end as told.

    `pieces` go out one after the other with `pause_s` before each, re-cut at `part_sizes` (over all their bytes,
    as SageMaker cuts) when given. `ending` is raised after the last piece; `silence_s` comes before it.
    """

    pieces: Sequence[bytes] = ()
    status: int = 200
    content_type: str = "text/event-stream"
    pause_s: float = 0.0
    part_sizes: Sequence[int] = ()
    refusal: Refusal | None = None
    silence_s: float = 0.0
    ending: StreamFault | ConnectionCut | None = None


MODEL_NOT_READY = Refusal(429, "ModelNotReadyException", "The model is not ready for inference yet.")
SERVICE_UNAVAILABLE = Refusal(503, "ServiceUnavailable", "The service is currently unavailable.")
INTERNAL_DEPENDENCY = Refusal(530, "InternalDependencyException", "A dependency failed.")
NO_CAPACITY = Refusal(400, "ValidationError", "Inference Component has no capacity to process this request.")
STREAM_BROKEN = StreamFault("ModelStreamError", "The connection to the model was reset.", "StreamBroken")
TIMED_OUT = StreamFault("ModelStreamError", "The model did not finish in time.", "ModelInvocationTimeExceeded")
INTERNAL_STREAM_FAILURE = StreamFault("InternalStreamFailure", "The stream failed.")


@dataclass
class ScriptedEngine:
    """Plays its scripts in turn, the last one for ever; keeps the bodies that it got and counts its open calls."""

    scripts: list[Script]
    bodies: list[bytes] = field(default_factory=list)
    open_calls: int = 0

    @asynccontextmanager
    async def answer(self, body: bytes) -> AsyncIterator[EngineAnswer]:
        script = self.scripts[min(len(self.bodies), len(self.scripts) - 1)]
        self.bodies.append(body)
        self.open_calls += 1
        try:
            if script.refusal is not None:
                raise script.refusal
            async with aclosing(_play(script)) as parts:
                yield EngineAnswer(script.status, script.content_type, parts)
        finally:
            self.open_calls -= 1


async def _play(script: Script) -> AsyncGenerator[bytes, None]:
    pieces = script.pieces
    if script.part_sizes:
        pieces = list(cut(b"".join(pieces), cycle(script.part_sizes)))
    for piece in pieces:
        if script.pause_s:
            await asyncio.sleep(script.pause_s)
        yield piece
    if script.silence_s:
        await asyncio.sleep(script.silence_s)
    if script.ending is not None:
        raise script.ending
