"""An engine whose every byte is written by the test, in the form llama.cpp sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.errors import GatewayError
from gateway.domain.models import Model

from tests.support.clock import ManualClock


@dataclass(frozen=True)
class Silence:
    """Nothing comes for so long."""

    seconds: float


@dataclass(frozen=True)
class Gate:
    """Nothing comes, in real time, until the event is set."""

    opened: asyncio.Event


Step = bytes | Silence | Gate | GatewayError
Script = Sequence[Step] | GatewayError


def event(chunk: Mapping[str, Any]) -> bytes:
    """A chunk as the engine frames it."""
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def text(content: str, *, prompt: int = 5, completion: int | None = None) -> bytes:
    """A piece of text, with the counts so far where `completion` is given."""
    chunk: dict[str, Any] = {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None}]}
    if completion is not None:
        chunk["timings"] = {"cache_n": 1, "prompt_n": prompt - 1, "predicted_n": completion}
    return event(chunk)


def finish(reason: str = "stop") -> bytes:
    """The finish chunk."""
    return event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def usage(*, prompt: int = 5, completion: int = 2) -> bytes:
    """The engine's closing count."""
    return event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})


DONE = b"data: [DONE]\n\n"


def answer(*words: str, prompt: int = 5, reason: str = "stop") -> list[Step]:
    """A whole answer of one token a word."""
    pieces = [text(word, prompt=prompt, completion=number) for number, word in enumerate(words, 1)]
    return [*pieces, finish(reason), usage(prompt=prompt, completion=len(words)), DONE]


class FakeEngine:
    """Keeps the promises of `ports.Engine`: plays its scripts in turn and keeps what it was asked."""

    def __init__(self, clock: ManualClock, *scripts: Script) -> None:
        self._clock = clock
        self._scripts = list(scripts)
        self.bodies: list[dict[str, Any]] = []
        self.streams: list[FakeStream] = []

    async def open(self, model: Model, body: Mapping[str, Any], *, timeout_s: float) -> FakeStream:
        await asyncio.sleep(0)
        script = self._scripts[len(self.bodies)]
        self.bodies.append(dict(body))
        if isinstance(script, GatewayError):
            raise script
        stream = FakeStream(self._clock, script)
        self.streams.append(stream)
        return stream


class FakeStream:
    """Keeps the promises of `ports.EngineStream`: one part a read."""

    def __init__(self, clock: ManualClock, script: Sequence[Step]) -> None:
        self._clock = clock
        self._steps = list(script)
        self.closed = False

    async def read(self, *, timeout_s: float) -> list[bytes] | None:
        await asyncio.sleep(0)
        if not self._steps:
            return []
        match self._steps[0]:
            case Silence(seconds):
                return self._be_silent(seconds, timeout_s)
            case Gate(opened):
                await opened.wait()
                self._steps.pop(0)
                return await self.read(timeout_s=timeout_s)
            case GatewayError() as error:
                raise error
            case bytes() as part:
                self._steps.pop(0)
                return [part]

    def _be_silent(self, seconds: float, timeout_s: float) -> list[bytes] | None:
        waited_s = min(seconds, timeout_s)
        self._clock.advance(waited_s)
        self._steps[0:1] = [Silence(seconds - waited_s)] if seconds > waited_s else []
        return None

    def close(self, *, whole: bool = False) -> None:
        self.closed = True
