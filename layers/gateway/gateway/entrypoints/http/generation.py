"""A generation as an HTTP answer, streamed or whole.

The status line waits for the run's first piece, so a refusal of the line or the engine is a real status. The
settlement comes after the last event of a stream and before the first byte of a whole answer, so always before the
end of the response: a Lambda that has answered is frozen, and runs nothing afterwards (DESIGN "Settle").
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.application.folding import fold_answer
from gateway.application.generation import Generate, Order, Run
from gateway.domain.answer import ChunkWriter, Ending, Extra, error_event
from gateway.domain.errors import GatewayError, ServerError
from gateway.domain.sse import DONE, encode_comment
from gateway.domain.usage import Settlement

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
_WAITING = encode_comment("waiting for the model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """How an order is answered."""

    include_usage: bool
    headers: Mapping[str, str]
    on_settled: Callable[[Settlement], None]


class GenerationResponse(Response):
    """Runs one order and answers it."""

    def __init__(self, generate: Generate, order: Order, face: Face) -> None:
        super().__init__()
        self._generate = generate
        self._order = order
        self._face = face

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of this one answer. Raises GatewayError only before anything was sent."""
        departure = _Departure(receive)
        try:
            run = await self._generate.start(self._order)
            try:
                error, rest = await self._answer(run, send)
            except BaseException as failure:
                await self._close(run, failure)
                if isinstance(failure, GatewayError):
                    failure.headers |= run.headers
                raise
            departure.forget()
            await self._close(run, error)
            if not self._order.stream:
                headers = {"content-type": "application/json", "content-length": str(len(rest))}
                await self._start(send, run, headers)
            await send({"type": "http.response.body", "body": rest, "more_body": False})
        except asyncio.CancelledError:
            if not departure.happened:
                raise
        finally:
            departure.forget()

    async def _close(self, run: Run, error: BaseException | None) -> None:
        self._face.on_settled(await run.close(error))

    async def _answer(self, run: Run, send: Send) -> tuple[GatewayError | None, bytes]:
        """The failure that was told inside a stream, and what is sent after the settlement.

        That is all of a buffered answer: its reader is done with the last byte of its length, whatever comes then.
        """
        if self._order.stream:
            return await self._send_stream(run, send), b""
        return None, await fold_answer(self._order, run)

    async def _start(self, send: Send, run: Run, headers: Mapping[str, str]) -> None:
        merged = {**run.headers, **self._face.headers, **headers}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in merged.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})

    async def _send_stream(self, run: Run, send: Send) -> GatewayError | None:
        writer = ChunkWriter(
            kind=self._order.kind,
            request_id=self._order.request_id,
            created=run.created,
            model=self._order.model.id,
            include_usage=self._face.include_usage,
        )
        await self._start(send, run, STREAM_HEADERS)
        try:
            await self._send_events(run, writer, send)
        except GatewayError as error:
            await _write(send, error_event(error.body()))
            return error
        except Exception:
            await _write(send, error_event(ServerError().body()))
            raise
        return None

    async def _send_events(self, run: Run, writer: ChunkWriter, send: Send) -> None:
        last = self._order.choices[-1].index
        begun: set[int] = set()
        async for batch in run.pieces():
            if not batch:
                await _write(send, _WAITING)
            for item in batch:
                if item.choice not in begun:
                    begun.add(item.choice)
                    await _write(send, writer.role(item.choice))
                if isinstance(item, Ending):
                    usage = run.usage if item.choice == last else None
                    await _write(send, writer.ending(item, usage))
                elif isinstance(item, Extra):
                    await _write(send, writer.fields(item))
                else:
                    await _write(send, writer.piece(item))
        await _write(send, writer.usage(run.usage))
        await _write(send, DONE)


async def _write(send: Send, data: bytes) -> None:
    if data:
        await send({"type": "http.response.body", "body": data, "more_body": True})


class _Departure:
    """Cancels the current task when its client leaves. (On Lambda the function is never told: FACTS.)"""

    def __init__(self, receive: Receive) -> None:
        self.happened = False
        self._receive = receive
        self._task = asyncio.current_task()
        self._watch = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        message: Any = {}
        while message.get("type") != "http.disconnect":
            message = await self._receive()
        self.happened = True
        if self._task is not None:
            self._task.cancel()

    def forget(self) -> None:
        """Stops watching."""
        self._watch.cancel()
