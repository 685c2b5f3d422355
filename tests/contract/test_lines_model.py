"""Any sequence of what can happen at a model, and after each step the line is the one kept on paper."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import hypothesis.strategies as st
import pytest
from gateway.domain.line import Holder, Line, ModelStatus, Waiter
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from tests.contract.conftest import Store
from tests.contract.machines import Run, on_every_store, play

_numbers = count(1)
ACCOUNTS = st.sampled_from(["ann", "bob", "cat"])


class LineMachine(RuleBasedStateMachine):
    """Requests of three accounts at one model, and the paper beside it."""

    requests = Bundle("requests")
    looks = Bundle("looks")
    """How the line was when somebody looked; they act on it later."""

    def __init__(self, store: Store, run: Run) -> None:
        super().__init__()
        self.store, self.wait = store, run
        self.model = f"model{next(_numbers)}"
        self.described = False
        self.paper = Line(model=self.model, status="off", copies=0, slots=0, service_s=10.0, open={}, waiting={})
        self.served_ms: list[int] = []

    @property
    def now_s(self) -> float:
        return self.store.clock.now_s()

    @rule(target=requests, account=ACCOUNTS, rank=st.sampled_from([0, 0, 1]))
    def new_request(self, account: str, rank: int) -> tuple[str, str, int]:
        return f"r{next(_numbers):023d}", account, rank

    @rule(target=looks)
    def look(self) -> Line:
        return self._look()

    @rule(seconds=st.sampled_from([1, 10, 60]))
    def time_passes(self, seconds: int) -> None:
        self.store.clock.advance(seconds)

    @rule(status=st.sampled_from(["ready", "ready", "ready", "warming", "off"]), slots=st.integers(0, 3))
    def describe(self, status: ModelStatus, slots: int) -> None:
        self.described = True
        self.paper = replace(self.paper, status=status, copies=slots, slots=slots)
        told = self.wait(self.store.lines.describe(self.model, status=status, copies=slots, slots=slots))
        assert told == self.paper

    @rule(request=requests, holds_s=st.sampled_from([5, 300]))
    def take(self, request: tuple[str, str, int], holds_s: int) -> None:
        id_, account, _ = request
        until_s = self.now_s + holds_s
        may = self._has_room() and not self.paper.waiting
        if may:
            self._hold(id_, account, until_s)
        told = self.wait(self.store.lines.take(self.model, request_id=id_, account_id=account, deadline_s=until_s))
        assert told == (None if may or id_ in self.paper.open else self.paper)

    @rule(request=requests, waits_s=st.sampled_from([5, 25]), most=st.integers(1, 4))
    def join(self, request: tuple[str, str, int], waits_s: int, most: int) -> None:
        waiter = self._waiter(request, waits_s=waits_s)
        may = self.paper.status == "ready" and len(self.paper.waiting) < most
        if may:
            self.paper = replace(self.paper, waiting={**self.paper.waiting, waiter.request_id: waiter})
        told = self.wait(self.store.lines.join(self.model, waiter, max_waiting=most))
        assert told == (waiter.request_id in self.paper.waiting)

    @rule(request=requests, other=requests)
    def join_instead_of(self, request: tuple[str, str, int], other: tuple[str, str, int]) -> None:
        waiter = self._waiter(request, waits_s=25)
        if waiter.request_id == other[0]:
            return
        if self.paper.status == "ready" and other[0] in self.paper.waiting:
            self._remove(other[0], open_=False, waiting=True)
            self.paper = replace(self.paper, waiting={**self.paper.waiting, waiter.request_id: waiter})
        told = self.wait(self.store.lines.join(self.model, waiter, max_waiting=1, instead_of=other[0]))
        assert told == (waiter.request_id in self.paper.waiting)

    @rule(request=requests, holds_s=st.sampled_from([5, 300]))
    def take_turn(self, request: tuple[str, str, int], holds_s: int) -> None:
        id_, account, _ = request
        waiter, until_s = self._waiter(request, waits_s=25), self.now_s + holds_s
        if self._has_room() and id_ in self.paper.waiting:
            self._hold(id_, account, until_s)
            waiting = {other: each for other, each in self.paper.waiting.items() if other != id_}
            self.paper = replace(self.paper, waiting=waiting, turns={**self.paper.turns, account: until_s})
        told = self.wait(self.store.lines.take_turn(self.model, waiter, deadline_s=until_s))
        assert told == (id_ in self.paper.open)

    @rule()
    def take_turns_as_waiters_do(self) -> None:
        """Every waiter judges for itself from one look, and takes what it thinks is its own."""
        line = self._look()
        for waiter in [*line.waiting.values()]:
            if line.ahead_of(waiter.request_id, self.now_s) == 0:
                self.take_turn((waiter.request_id, waiter.account_id, waiter.rank), 300)

    @rule(request=requests, served_ms=st.sampled_from([None, 250, 4000]))
    def leave(self, request: tuple[str, str, int], served_ms: int | None) -> None:
        id_ = request[0]
        if served_ms is not None and (id_ in self.paper.open or id_ in self.paper.waiting):
            self.served_ms.append(served_ms)
        self._remove(id_, open_=True, waiting=True)
        served_s = None if served_ms is None else served_ms / 1000
        self.wait(self.store.lines.leave(self.model, id_, served_s=served_s))

    @rule()
    def want(self) -> None:
        if self.described:
            self.paper = replace(self.paper, wanted_s=max(self.paper.wanted_s, self.now_s))
        self.wait(self.store.lines.want(self.model, now_s=self.now_s))

    @rule(seen=looks)
    def remove_the_dead_that_were_seen(self, seen: Line) -> None:
        """Who was renewed since the look is not dead."""
        for entry in seen.dead(self.now_s):
            if isinstance(entry, Waiter):
                now = self.paper.waiting.get(entry.request_id)
                gone = now is not None and now.deadline_s == entry.deadline_s
                self._remove(entry.request_id, open_=False, waiting=gone)
            else:
                holder = self.paper.open.get(entry.request_id)
                gone = holder is not None and holder.deadline_s == entry.deadline_s
                self._remove(entry.request_id, open_=gone, waiting=False)
        self.wait(self.store.lines.remove_dead(seen, now_s=self.now_s))

    @rule(seen=looks)
    def tidy(self, seen: Line) -> None:
        if seen.turns and not seen.waiting:
            self.paper = replace(self.paper, turns={})
        self.wait(self.store.lines.tidy(seen))

    @invariant()
    def the_paper_agrees(self) -> None:
        self._look()

    @invariant()
    def no_more_is_taken_than_there_ever_was(self) -> None:
        assert len(self.paper.open) <= 3

    def _look(self) -> Line:
        line = self.wait(self.store.lines.look(self.model))
        served = self.served_ms
        self.paper = replace(
            self.paper, service_s=sum(served) / len(served) / 1000 if served else 10.0, served=len(served)
        )
        assert replace(line, service_s=self.paper.service_s) == self.paper
        assert line.service_s == pytest.approx(self.paper.service_s)
        assert isinstance(line, Line)
        return self.paper

    def _has_room(self) -> bool:
        return self.paper.status == "ready" and len(self.paper.open) < self.paper.slots

    def _hold(self, id_: str, account: str, until_s: float) -> None:
        holder = Holder(request_id=id_, account_id=account, deadline_s=until_s)
        self.paper = replace(self.paper, open={**self.paper.open, id_: holder})

    def _remove(self, id_: str, *, open_: bool, waiting: bool) -> None:
        kept = {other: each for other, each in self.paper.open.items() if other != id_ or not open_}
        left = {other: each for other, each in self.paper.waiting.items() if other != id_ or not waiting}
        self.paper = replace(self.paper, open=kept, waiting=left)

    def _waiter(self, request: tuple[str, str, int], *, waits_s: int) -> Waiter:
        id_, account, rank = request
        return Waiter(
            request_id=id_, account_id=account, since_s=self.now_s, deadline_s=self.now_s + waits_s, rank=rank
        )


@pytest.mark.timeout(600)
@on_every_store
def test_no_sequence_of_events_makes_the_line_disagree_with_the_paper(
    request: pytest.FixtureRequest, where: str, examples: int, steps: int
) -> None:
    play(request, LineMachine, where=where, examples=examples, steps=steps)
