"""One choice of an answer: from an engine's bytes to pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.application.ports import Clock, Engine, EngineStream
from gateway.domain.answer import Ending, Extra, Piece
from gateway.domain.engine import ContextExceeded, parse_chunk
from gateway.domain.errors import ServerError, UpstreamTimeout
from gateway.domain.logprobs import told_logprobs
from gateway.domain.models import Model
from gateway.domain.native_tools import NativeToolShaper
from gateway.domain.shaping import Delta, Shaper
from gateway.domain.sse import SseDecoder
from gateway.domain.usage import Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer to generate.

    Several choices of one prompt pay for the prompt once (OpenAI's rule for `n`): only the first `counts_prompt`.
    `top_logprobs` is how many alternatives to a token the client wants to be told.
    """

    index: int
    body: Mapping[str, Any]
    new_shaper: Callable[[], Shaper]
    counts_prompt: bool = True
    top_logprobs: int = 0


@dataclass(slots=True)
class ChoiceCount:
    """The engine's counts of one choice so far; `counted` tells whether the engine has told any."""

    tokens: Tokens = Tokens()  # noqa: RUF009 - frozen
    counted: bool = False
    pieces: int = 0

    def so_far(self) -> Tokens:
        """The engine's counts, or the pieces that came where it never told any."""
        return self.tokens if self.counted else Tokens(0, self.pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceReader:
    """Generates choices on one engine until the clock has `until_s` elapsed.

    A silence of `patience_s` is told as an empty batch.
    """

    engine: Engine
    clock: Clock
    model: Model
    until_s: float
    patience_s: float

    async def read(self, choice: Choice, count: ChoiceCount) -> AsyncIterator[list[Piece | Ending | Extra]]:
        """The pieces of the choice as they come, then its ending; `count` is kept true all along.

        Raises GatewayError where the engine refuses, breaks off or is over its time.
        """
        stream = await self._open(choice)
        decoder = SseDecoder()
        state = _ChoiceState(choice, count)
        try:
            while True:
                left_s = self._left_s()
                if left_s <= 0:
                    raise UpstreamTimeout("The model did not finish in time.", reason="engine_timeout")
                parts = await stream.read(timeout_s=min(self.patience_s, left_s))
                if parts is None:
                    yield []
                    continue
                batch: list[Piece | Ending | Extra] = []
                for part in parts:
                    for data in _decode(decoder, part):
                        state.take(data, batch)
                if not parts or state.done:
                    batch.extend(state.end())
                    yield batch
                    return
                if batch:
                    yield batch
        finally:
            stream.close(whole=state.done)

    async def _open(self, choice: Choice) -> EngineStream:
        try:
            return await self.engine.open(self.model, choice.body, timeout_s=self._left_s())
        except ContextExceeded as refusal:
            # vLLM's versions up to 0.2x refuse where prompt and max_tokens together are over, and some count the prompt
            # only as far as that takes. Asked without max_tokens, each gives what is left: less than was wanted.
            room = refusal.context_tokens - refusal.prompt_tokens
            if not 0 < room < choice.body["max_tokens"]:
                raise
        body = {name: value for name, value in choice.body.items() if name != "max_tokens"}
        return await self.engine.open(self.model, body, timeout_s=self._left_s())

    def _left_s(self) -> float:
        return self.until_s - self.clock.elapsed_s()


def _decode(decoder: SseDecoder, part: bytes) -> list[bytes]:
    try:
        return decoder.feed(part)
    except ValueError:
        raise ServerError(reason="stream_broken") from None


class _ChoiceState:
    """What has come of one choice: the engine's finish, and its counts, both needed for a whole answer."""

    __slots__ = ("_count", "_finish", "_index", "_shaper", "_top_logprobs", "done")

    def __init__(self, choice: Choice, count: ChoiceCount) -> None:
        self._index = choice.index
        self._top_logprobs = choice.top_logprobs
        self._shaper = choice.new_shaper()
        self._count = count
        self._finish: str | None = None
        self.done = False

    def take(self, data: bytes, batch: list[Piece | Ending | Extra]) -> None:
        chunk = parse_chunk(data)
        if chunk == "done":
            self.done = True
            return
        if chunk.tokens is not None:
            self._count.tokens = chunk.tokens
            self._count.counted = True
        if chunk.finish_reason is not None:
            self._finish = chunk.finish_reason
        deltas = self._shaper.feed(chunk.text) if chunk.text else []
        if chunk.calls and isinstance(self._shaper, NativeToolShaper):
            deltas += self._shaper.feed_calls(chunk.calls)
        self._count.pieces += bool(chunk.text or chunk.calls)
        self._add(deltas, chunk.logprobs, batch)

    def _add(
        self, deltas: list[Delta], logprobs: Mapping[str, Any] | None, batch: list[Piece | Ending | Extra]
    ) -> None:
        if logprobs is not None:
            try:
                logprobs = told_logprobs(logprobs, alternatives=self._top_logprobs)
            except (KeyError, TypeError, AttributeError):
                raise ServerError(reason="stream_broken") from None
        for delta in deltas:
            batch.append(Piece(self._index, delta, logprobs))
            logprobs = None

    def end(self) -> list[Piece | Ending | Extra]:
        if self._finish is None:
            raise ServerError("The model's answer broke off.", reason="stream_broken")
        deltas, reason = self._shaper.finish(self._finish)
        return [*(Piece(self._index, delta) for delta in deltas), Ending(self._index, reason)]
