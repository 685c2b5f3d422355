"""Getting a slot: at once, after a bounded wait, or a refusal that says why."""

from __future__ import annotations

import asyncio

import pytest
from gateway.application.queueing import Queue
from gateway.domain.errors import ServiceUnavailable
from gateway.domain.line import INTERACTIVE, QUEUED, WANT_AGAIN_S, ModelStatus, Waiter

from tests.support.clock import NOON_S, ManualClock
from tests.support.fake_lines import FakeLines
from tests.support.faults import Faults, When

pytestmark = pytest.mark.anyio
MODEL = "small"
WAIT_S = 20.0


class Desk:
    """A line with its queue, at which requests of an account are named by a number."""

    def __init__(self, *, slots: int, max_waiting_per_slot: int = 4, wait_s: float = WAIT_S) -> None:
        self.clock = ManualClock()
        self.lines = FakeLines()
        self.slots = slots
        self.queue = Queue(self.lines, self.clock, wait_s=wait_s, max_waiting_per_slot=max_waiting_per_slot)

    async def open(self) -> Desk:
        await self.lines.describe(MODEL, status="ready", copies=1, slots=self.slots)
        return self

    async def enter(self, name: str, *, rank: int = INTERACTIVE) -> None:
        account = name.rstrip("0123456789")
        await self.queue.enter(MODEL, request_id=name, account_id=account, hold_s=100, rank=rank)

    async def holders(self) -> list[str]:
        return list((await self.lines.look(MODEL)).open)

    async def waiters(self) -> list[str]:
        return list((await self.lines.look(MODEL)).waiting)

    async def wait_until_waiting(self, count: int) -> None:
        while len(await self.waiters()) != count:
            await asyncio.sleep(0)


async def test_a_free_slot_is_taken_at_once() -> None:
    desk = await Desk(slots=1).open()
    await desk.enter("ann1")
    assert await desk.holders() == ["ann1"]
    assert desk.clock.slept == []


@pytest.mark.parametrize("ahead_s", [3600, -3600])
async def test_a_clock_that_is_set_makes_no_wait_longer(ahead_s: int) -> None:
    desk = await Desk(slots=1).open()
    await desk.enter("ann1")
    began_s = desk.clock.elapsed_s()
    entering = asyncio.create_task(desk.enter("bob1"))
    await desk.wait_until_waiting(1)
    desk.clock.set_ahead(ahead_s)
    with pytest.raises(ServiceUnavailable):
        await entering
    assert desk.clock.elapsed_s() - began_s <= WAIT_S + 2
    assert await desk.waiters() == []


async def test_a_slot_is_held_for_as_long_as_it_was_asked_for() -> None:
    desk = await Desk(slots=1).open()
    await desk.enter("ann1")
    (holder,) = (await desk.lines.look(MODEL)).open.values()
    assert holder.deadline_s == desk.clock.now_s() + 100


async def test_who_waits_takes_the_slot_that_comes_free() -> None:
    desk = await Desk(slots=1).open()
    await desk.enter("ann1")
    entering = asyncio.create_task(desk.enter("ben1"))
    await desk.wait_until_waiting(1)
    await desk.lines.leave(MODEL, "ann1")
    await entering
    assert (await desk.holders(), await desk.waiters()) == (["ben1"], [])


async def test_a_newcomer_does_not_pass_who_waits() -> None:
    desk = await Desk(slots=1).open()
    waiter = Waiter(request_id="ann1", account_id="ann", since_s=0, deadline_s=desk.clock.now_s() + 5)
    await desk.lines.join(MODEL, waiter, max_waiting=4)
    await desk.enter("ben1")
    assert desk.clock.slept, "it waited, although a slot was free, until the one before it was dead"


async def test_the_wait_is_bounded_and_its_end_leaves_no_place_behind() -> None:
    desk = await Desk(slots=1).open()
    await desk.enter("ann1")
    began_s = desk.clock.now_s()
    with pytest.raises(ServiceUnavailable) as caught:
        await desk.enter("ben1")
    assert caught.value.reason == "line_timeout"
    assert caught.value.retry_after_s is not None
    assert WAIT_S <= desk.clock.now_s() - began_s < WAIT_S + 2
    assert (await desk.holders(), await desk.waiters()) == (["ann1"], [])


async def test_a_full_line_refuses_at_once() -> None:
    desk = await Desk(slots=1, max_waiting_per_slot=1).open()
    await desk.enter("ann1")
    entering = asyncio.create_task(desk.enter("ben1"))
    await desk.wait_until_waiting(1)
    with pytest.raises(ServiceUnavailable) as caught:
        await desk.enter("cat1")
    assert caught.value.reason == "line_full"
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert await desk.waiters() == []


async def test_who_would_wait_longer_than_it_may_is_refused_at_once() -> None:
    desk = await Desk(slots=1, max_waiting_per_slot=9).open()
    for name in ("ann1", "ann2"):  # a slot takes 8 s of late: two that wait come to it within 20 s, a third does not
        await desk.enter(name)
        await desk.lines.leave(MODEL, name, served_s=8.0)
    await desk.enter("ben1")
    entering = [asyncio.create_task(desk.enter(name)) for name in ("ben2", "ben3")]
    await desk.wait_until_waiting(2)
    began_s = desk.clock.elapsed_s()
    with pytest.raises(ServiceUnavailable) as caught:
        await desk.enter("ben4")
    assert (caught.value.reason, caught.value.retry_after_s) == ("line_full", 24)
    assert desk.clock.elapsed_s() - began_s < WAIT_S, "the others looked meanwhile; it did not wait for its own end"
    for task in entering:
        task.cancel()
    await asyncio.gather(*entering, return_exceptions=True)


async def test_a_full_line_of_one_account_gives_its_last_place_to_another() -> None:
    desk = await Desk(slots=1, max_waiting_per_slot=2, wait_s=1000).open()
    await desk.enter("ann1")
    entering = [asyncio.create_task(desk.enter(name)) for name in ("ann2", "ann3")]
    await desk.wait_until_waiting(2)
    other = asyncio.create_task(desk.enter("ben1"))
    with pytest.raises(ServiceUnavailable) as caught:
        await entering[1]
    assert caught.value.reason == "line_full"
    assert caught.value.retry_after_s is not None
    assert sorted(await desk.waiters()) == ["ann2", "ben1"]
    await desk.lines.leave(MODEL, "ann1")
    await other
    await desk.lines.leave(MODEL, "ben1")
    await entering[0]
    assert await desk.waiters() == []


@pytest.mark.parametrize(("status", "reason"), [("warming", "model_warming"), ("off", "model_off")])
async def test_a_model_without_copies_refuses_at_once(status: ModelStatus, reason: str) -> None:
    desk = Desk(slots=1)
    await desk.lines.describe(MODEL, status=status, copies=0, slots=0)
    with pytest.raises(ServiceUnavailable) as caught:
        await desk.enter("ann1")
    assert caught.value.reason == reason
    assert desk.clock.slept == []


async def test_a_model_that_is_asked_for_in_vain_is_wanted_and_the_want_is_written_now_and_then() -> None:
    desk = Desk(slots=1)
    await desk.lines.describe(MODEL, status="warming", copies=0, slots=0)
    wanted: list[float] = []
    for _ in range(5):
        with pytest.raises(ServiceUnavailable):
            await desk.enter("ann1")
        wanted.append((await desk.lines.look(MODEL)).wanted_s)
        desk.clock.advance(WANT_AGAIN_S / 2)
    assert wanted == [NOON_S, NOON_S, NOON_S + 30, NOON_S + 30, NOON_S + 60]


async def test_work_that_can_come_later_learns_in_one_look_whether_it_would_be_refused() -> None:
    desk = await Desk(slots=1).open()
    await desk.queue.check(MODEL)
    assert await desk.holders() == []
    await desk.lines.describe(MODEL, status="warming", copies=0, slots=0)
    with pytest.raises(ServiceUnavailable) as caught:
        await desk.queue.check(MODEL)
    assert caught.value.reason == "model_warming"


async def test_a_model_that_goes_away_ends_the_wait() -> None:
    desk = await Desk(slots=1).open()
    await desk.enter("ann1")
    entering = asyncio.create_task(desk.enter("ben1"))
    await desk.wait_until_waiting(1)
    await desk.lines.describe(MODEL, status="warming", copies=0, slots=0)
    with pytest.raises(ServiceUnavailable) as caught:
        await entering
    assert caught.value.reason == "model_warming"
    assert await desk.waiters() == []


async def test_the_dead_are_removed_by_whoever_meets_them() -> None:
    desk = await Desk(slots=1).open()
    await desk.lines.take(MODEL, request_id="gone", account_id="x", deadline_s=desk.clock.now_s() - 1)
    await desk.enter("ann1")
    assert await desk.holders() == ["ann1"]


async def test_slots_go_to_the_account_that_holds_the_fewest_and_to_queued_work_last() -> None:
    desk = await Desk(slots=2, wait_s=1000).open()
    await desk.enter("ann8")
    await desk.enter("ann9")
    served: list[str] = []

    async def one(name: str, rank: int) -> None:
        await desk.enter(name, rank=rank)
        served.append(name)

    names = ["job1", "ann1", "ann2", "ben1", "ben2"]
    tasks = []
    for name in names:
        tasks.append(asyncio.create_task(one(name, QUEUED if name == "job1" else INTERACTIVE)))
        await desk.wait_until_waiting(len(tasks))
        desk.clock.advance(0.01)
    for leaver in ["ann8", "ann9", "ben1", "ann1", "ben2"]:
        await desk.lines.leave(MODEL, leaver)
        await desk.wait_until_waiting(len(names) - len(served) - 1)
    await asyncio.gather(*tasks)
    assert served == ["ben1", "ann1", "ben2", "ann2", "job1"]


async def test_many_at_once_never_hold_more_than_the_slots() -> None:
    desk = await Desk(slots=3, max_waiting_per_slot=20, wait_s=1000).open()
    most = 0

    async def one(name: str) -> None:
        nonlocal most
        await desk.enter(name)
        most = max(most, len(await desk.holders()))
        await desk.lines.leave(MODEL, name)

    await asyncio.gather(*(one(f"{'abcdef'[index % 6]}{index}") for index in range(40)))
    assert most == 3
    assert (await desk.holders(), await desk.waiters()) == ([], [])


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_line_out_of_reach_is_told_as_such_and_nothing_stays_held(when: When) -> None:
    for at in range(10):
        desk = await Desk(slots=1).open()
        faults = Faults(at=at, when=when)
        queue = Queue(faults.on(desk.lines), desk.clock, wait_s=1)
        await desk.lines.take(MODEL, request_id="other", account_id="x", deadline_s=desk.clock.now_s() + 99)
        with pytest.raises(ServiceUnavailable) as caught:
            await queue.enter(MODEL, request_id="ann1", account_id="ann", hold_s=9)
        if faults.failed in ([], ["leave"]):
            assert caught.value.reason == "line_timeout"
        else:
            assert caught.value.reason == "ledger_unavailable"
        assert faults.failed == ["leave"] or (await desk.holders(), await desk.waiters()) == (["other"], [])
