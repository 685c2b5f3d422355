"""The models' slots and lines in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from gateway.domain.line import Holder, Line, ModelStatus, Waiter

DEFAULT_SERVICE_S = 10.0
SERVED_KEPT = 200


class FakeLines:
    """Keeps the promises of `ports.Lines`."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._served: dict[str, list[float]] = {}
        self.on_look: Callable[[], None] = lambda: None
        """What happens elsewhere whenever somebody looks at a line."""

    async def take(self, model: str, *, request_id: str, account_id: str, deadline_s: float) -> Line | None:
        await asyncio.sleep(0)
        line = self.line(model)
        if line.status == "ready" and len(line.open) < line.slots and not line.waiting:
            self._hold(line, request_id, account_id, deadline_s)
            return None
        return None if request_id in line.open else line

    async def join(self, model: str, waiter: Waiter, *, max_waiting: int, instead_of: str | None = None) -> bool:
        await asyncio.sleep(0)
        line = self.line(model)
        room = len(line.waiting) < max_waiting if instead_of is None else instead_of in line.waiting
        if line.status != "ready" or not room:
            return waiter.request_id in line.waiting
        # of who gives up its place only that is taken: a slot that it holds too stays its own
        others = {id_: each for id_, each in line.waiting.items() if id_ != instead_of}
        self._lines[model] = replace(line, waiting={**others, waiter.request_id: waiter})
        return True

    async def look(self, model: str) -> Line:
        await asyncio.sleep(0)
        self.on_look()
        return self.line(model)

    async def take_turn(self, model: str, waiter: Waiter, *, deadline_s: float) -> bool:
        await asyncio.sleep(0)
        line = self.line(model)
        free = line.status == "ready" and len(line.open) < line.slots
        if not free or waiter.request_id not in line.waiting:
            return waiter.request_id in line.open
        line = replace(line, turns={**line.turns, waiter.account_id: deadline_s})
        self._hold(line, waiter.request_id, waiter.account_id, deadline_s)
        return True

    async def tidy(self, line: Line) -> None:
        await asyncio.sleep(0)
        if line.model not in self._lines:
            return
        now = self.line(line.model)
        if line.turns and not line.waiting:
            now = replace(now, turns={})
        if line.served > SERVED_KEPT:
            self._served[line.model] = self._served[line.model][-(line.served // 2) :]
        self._lines[line.model] = self._measured(now)

    async def leave(self, model: str, request_id: str, *, served_s: float | None = None) -> None:
        await asyncio.sleep(0)
        line = self.line(model)
        if request_id not in line.open and request_id not in line.waiting:
            return
        line = _without(line, request_id)
        if served_s is not None:
            self._served.setdefault(model, []).append(served_s)
            line = self._measured(line)
        self._lines[model] = line

    async def want(self, model: str, *, now_s: float) -> None:
        await asyncio.sleep(0)
        line = self._lines.get(model)
        if line is not None and line.wanted_s < now_s:
            self._lines[model] = replace(line, wanted_s=now_s)

    async def remove_dead(self, line: Line, *, now_s: float) -> None:
        await asyncio.sleep(0)
        for entry in line.dead(now_s):
            now, id_ = self.line(line.model), entry.request_id
            place = now.waiting if isinstance(entry, Waiter) else now.open
            if id_ not in place or place[id_].deadline_s != entry.deadline_s:
                continue
            if isinstance(entry, Waiter):
                waiting = {other: waiter for other, waiter in now.waiting.items() if other != id_}
                self._lines[line.model] = replace(now, waiting=waiting)
            else:
                self._lines[line.model] = replace(now, open={o: h for o, h in now.open.items() if o != id_})

    async def describe(self, model: str, *, status: ModelStatus, copies: int, slots: int) -> Line:
        await asyncio.sleep(0)
        self._lines[model] = replace(self.line(model), status=status, copies=copies, slots=slots)
        return self.line(model)

    def line(self, model: str) -> Line:
        """The line as it is, without a call."""
        return self._lines.get(model) or Line(
            model=model, status="off", copies=0, slots=0, service_s=DEFAULT_SERVICE_S, open={}, waiting={}
        )

    def _measured(self, line: Line) -> Line:
        served = self._served.get(line.model)
        return replace(line, service_s=sum(served) / len(served), served=len(served)) if served else line

    def _hold(self, line: Line, request_id: str, account_id: str, deadline_s: float) -> None:
        holder = Holder(request_id=request_id, account_id=account_id, deadline_s=deadline_s)
        line = _without(line, request_id)
        self._lines[line.model] = replace(line, open={**line.open, request_id: holder})


def _without(line: Line, request_id: str) -> Line:
    return replace(
        line,
        open={id_: holder for id_, holder in line.open.items() if id_ != request_id},
        waiting={id_: waiter for id_, waiter in line.waiting.items() if id_ != request_id},
    )
