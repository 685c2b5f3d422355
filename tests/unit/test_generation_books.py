"""The books of a generation: leases and counters gone by, and whatever call fails."""

from __future__ import annotations

import asyncio

import pytest
from gateway.domain.errors import GatewayError
from gateway.domain.usage import Tokens

from tests.support.accounts import new_lease, new_order
from tests.support.fake_engine import Silence, answer
from tests.support.faults import Faults, When
from tests.support.house import TIMEOUT_S, House, build_house, drive, nothing_is_held

pytestmark = pytest.mark.anyio


async def test_dead_leases_that_admission_saw_are_settled_as_lost() -> None:
    house = await build_house(answer("a"))
    dead = new_lease(house.customer, reserved_tokens=300, admitted_s=house.clock.now_s() - 900, holds_s=600)
    await house.generate.ledger.admit(dead, key_hash=house.customer.key.hash)
    await drive(house, new_order(house.customer))
    assert {record.lease.request_id: record.status for record in house.settled()}[dead.request_id] == "lost"
    await nothing_is_held(house)


async def test_counters_of_days_and_minutes_gone_by_are_removed_at_settlement() -> None:
    house = await build_house(answer("a"), answer("a"))
    await drive(house, new_order(house.customer))
    house.clock.advance(2 * 86_400)
    await drive(house, new_order(house.customer))
    counters = house.books.pages[house.customer.account.id].counters
    assert sorted(counters) == ["r29926800", "t20261125"]


async def test_the_lease_outlives_all_that_its_request_may_do() -> None:
    house = await build_house([Silence(10_000)])
    run = await house.generate.start(new_order(house.customer))
    (lease,) = (await house.account()).open.values()
    assert lease.deadline_s > lease.admitted_s + 20 + TIMEOUT_S
    await run.close()


async def test_a_settlement_that_the_ledger_refuses_waits_in_the_outbox() -> None:
    house = await build_house(answer("a"), faults=Faults(every=frozenset({"settle"})))
    _, _, settlement = await drive(house, new_order(house.customer))
    assert house.settled() == []
    assert house.outbox.kept == [settlement]
    assert await house.held() == set()
    assert len((await house.account()).open) == 1


async def test_a_settlement_that_nobody_takes_leaves_its_lease_for_the_sweep() -> None:
    house = await build_house(answer("a"), faults=Faults(every=frozenset({"settle", "put"})))
    _, _, settlement = await drive(house, new_order(house.customer))
    assert settlement.status == "ok"
    assert (house.settled(), house.outbox.kept) == ([], [])
    assert list((await house.account()).open) == [settlement.lease.request_id]
    assert await house.held() == set()


async def test_a_slot_that_can_not_be_given_back_does_not_spoil_the_answer() -> None:
    house = await build_house(answer("a"), faults=Faults(every=frozenset({"leave"})))
    _, told, settlement = await drive(house, new_order(house.customer))
    assert told.texts == ["a"]
    assert house.settled() == [settlement]
    line = await house.lines.look("small")
    assert [holder.deadline_s for holder in line.open.values()] == [settlement.lease.admitted_s + TIMEOUT_S + 15]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("busy", [False, True], ids=["slot free", "waits in line"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_whatever_call_fails_there_is_one_settlement_or_one_lease_and_no_slot_is_kept(
    when: When, busy: bool, stream: bool
) -> None:
    names: list[str] = []
    for at in range(100):
        house = await _run_with_a_fault(Faults(at=at, when=when), busy=busy, stream=stream)
        if not house.faults.failed:
            break
        names += house.faults.failed
    assert not house.faults.failed, "every call has failed once"
    expected = {"admit", "take", "open", "read", "leave", "settle"}
    assert set(names) == (expected | {"join", "look", "take_turn"} if busy else expected)


async def _run_with_a_fault(faults: Faults, *, busy: bool, stream: bool) -> House:
    house = await build_house(answer("a", "b"), faults=faults, slots=1)
    leaving: list[asyncio.Task[None]] = []
    if busy:
        await house.lines.take("small", request_id="other", account_id="other", deadline_s=house.clock.now_s() + 900)
        looks = iter(range(100))

        def give_way() -> None:
            if next(looks) == 2:
                leaving.append(asyncio.create_task(house.lines.leave("small", "other")))

        house.lines.on_look = give_way
    error: GatewayError | None = None
    try:
        await drive(house, new_order(house.customer, stream=stream))
    except GatewayError as raised:
        error = raised
    await asyncio.sleep(0.001)
    house.lines.on_look = lambda: None
    failed = set(faults.failed)
    told = (faults.at, failed, faults.when)
    account = await house.account()
    assert len(house.settled()) + len(account.open) == (0 if failed == {"admit"} and faults.when == "before" else 1), (
        told
    )
    if failed == {"settle"}:
        assert len(house.outbox.kept) == 1, told
    for record in [*house.settled(), *house.outbox.kept]:
        assert record.http_status == (error.status if error else 200), told
        assert (record.status == "ok") == (error is None), told
        if record.status == "failed":
            assert (record.tokens, record.cost_nano_usd) == (Tokens(), 0), told
        if record.status == "partial":
            assert stream, told
            assert record.tokens.completion > 0, told
    held = await house.held() - {"other"}
    assert not held or failed == {"leave"}, told
    return house
