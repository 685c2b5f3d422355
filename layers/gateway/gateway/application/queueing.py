"""Getting a slot at the model: at once, or after a bounded wait in a fair line."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from gateway.application.ports import Clock, Lines
from gateway.domain.errors import GatewayError
from gateway.domain.line import INTERACTIVE, WANT_AGAIN_S, Line, Waiter, line_full, waited_too_long

Result = TypeVar("Result")

JOIN_ATTEMPTS = 3
"""Newcomers at once may mean the same place of a full line; one of them gets it, the others look again."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The line before a model.

    `wait_s` bounds the wait, and with `max_waiting_per_slot` the line: who would wait longer is refused at once.
    """

    lines: Lines
    clock: Clock
    wait_s: float
    max_waiting_per_slot: int = 4

    async def enter(
        self, model: str, *, request_id: str, account_id: str, hold_s: float, rank: int = INTERACTIVE
    ) -> None:
        """Returns when the request holds a slot, for at most `hold_s`.

        Raises ServiceUnavailable: no copy is ready, the line is full, or no slot came free in time. Then nothing is
        held.
        """
        now_s, until_s = self.clock.now_s(), self.clock.elapsed_s() + self.wait_s
        taking = self.lines.take(model, request_id=request_id, account_id=account_id, deadline_s=now_s + hold_s)
        line = await self._or_leave(taking, model=model, request_id=request_id)
        if line is None:
            return
        if line.dead(now_s):
            await self.lines.remove_dead(line, now_s=now_s)
            line = await self.lines.look(model)
        waiter = Waiter(
            request_id=request_id, account_id=account_id, since_s=now_s, deadline_s=now_s + self.wait_s + 5, rank=rank
        )
        await self._or_leave(self._join(line, waiter, now_s=now_s), model=model, request_id=request_id)
        waiting = self._wait(waiter, model=model, until_s=until_s, hold_s=hold_s)
        await self._or_leave(waiting, model=model, request_id=request_id)

    async def check(self, model: str) -> None:
        """Raises what `enter` would refuse with at once, from one read: for work that can as well come later."""
        await self._refuse(await self.lines.look(model), now_s=self.clock.now_s())

    async def _or_leave(self, step: Awaitable[Result], *, model: str, request_id: str) -> Result:
        """The step's result. Where it fails, its write may have taken effect all the same: then it is given back."""
        try:
            return await step
        except BaseException:
            with suppress(GatewayError):
                await self.lines.leave(model, request_id)
            raise

    async def _join(self, line: Line, waiter: Waiter, *, now_s: float) -> None:
        """Returns when the request has a place. In a full line it takes the last one's, if it stands before it."""
        most = self._max_waiting(line)
        for _ in range(JOIN_ATTEMPTS):
            last = line.displaced_by(waiter, now_s) if len(line.waiting) >= most else None
            if last is None:
                await self._refuse(line, now_s=now_s)
            if await self.lines.join(
                line.model, waiter, max_waiting=most, instead_of=last.request_id if last is not None else None
            ):
                return
            line = await self.lines.look(line.model)
        await self._refuse(line, now_s=now_s)
        raise line_full(line)

    async def _wait(self, waiter: Waiter, *, model: str, until_s: float, hold_s: float) -> None:
        while True:
            line = await self.lines.look(model)
            now_s = self.clock.now_s()
            ahead = line.ahead_of(waiter.request_id, now_s)
            if line.dead(now_s):
                await self.lines.remove_dead(line, now_s=now_s)
            elif line.status != "ready":
                await self._refuse(line, now_s=now_s)
            elif ahead is None:
                raise line_full(line)
            elif ahead == 0 and await self.lines.take_turn(model, waiter, deadline_s=now_s + hold_s):
                return
            if self.clock.elapsed_s() >= until_s:
                raise waited_too_long(line)
            pause_s = line.look_again_s(ahead or 0) * (0.5 + self.clock.jitter())
            await self.clock.sleep(min(pause_s, until_s - now_s))

    def _max_waiting(self, line: Line) -> int:
        return line.places(wait_s=self.wait_s, per_slot=self.max_waiting_per_slot)

    async def _refuse(self, line: Line, *, now_s: float) -> None:
        if line.status == "warming" and now_s - line.wanted_s >= WANT_AGAIN_S:
            await self.lines.want(line.model, now_s=now_s)
        refusal = line.refusal(max_waiting=self._max_waiting(line))
        if refusal is not None:
            raise refusal
