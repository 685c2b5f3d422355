"""The promises of `ports.Lines`: never more holders than slots, a bounded line, places given back once."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from gateway.domain.line import INTERACTIVE, QUEUED, Holder, Line, ModelStatus, Waiter

from tests.contract.conftest import Store
from tests.support.clock import NOON_S

pytestmark = pytest.mark.anyio
_models = count(1)
DEADLINE_S = NOON_S + 100.25
"""Not a whole second: deadlines are floats, and are compared as such."""


async def ready(store: Store, *, slots: int, status: ModelStatus = "ready") -> str:
    model = f"model/{next(_models)}"
    await store.lines.describe(model, status=status, copies=1, slots=slots)
    return model


def waiter(name: str, *, since_s: float = NOON_S + 0.125, deadline_s: float = DEADLINE_S, rank: int = 0) -> Waiter:
    return Waiter(request_id=name, account_id=f"of-{name}", since_s=since_s, deadline_s=deadline_s, rank=rank)


async def take(store: Store, model: str, name: str, *, deadline_s: float = DEADLINE_S) -> Line | None:
    return await store.lines.take(model, request_id=name, account_id=f"of-{name}", deadline_s=deadline_s)


async def test_a_model_that_nobody_described_is_off_and_gives_nothing(store: Store) -> None:
    line = await store.lines.look("never/heard/of")
    assert (line.status, line.slots, dict(line.open), dict(line.waiting)) == ("off", 0, {}, {})
    assert await take(store, "never/heard/of", "a") == line
    assert not await store.lines.join("never/heard/of", waiter("a"), max_waiting=9)
    assert not await store.lines.take_turn("never/heard/of", waiter("a"), deadline_s=DEADLINE_S)
    await store.lines.leave("never/heard/of", "a")
    assert await store.lines.look("never/heard/of") == line


async def test_a_slot_is_held_as_it_was_taken(store: Store) -> None:
    model = await ready(store, slots=1)
    assert await take(store, model, "a") is None
    assert dict((await store.lines.look(model)).open) == {
        "a": Holder(request_id="a", account_id="of-a", deadline_s=DEADLINE_S)
    }


async def test_a_slot_taken_twice_by_one_request_is_one_slot(store: Store) -> None:
    model = await ready(store, slots=1)
    assert await take(store, model, "a") is None
    assert await take(store, model, "a") is None
    assert len((await store.lines.look(model)).open) == 1


async def test_with_no_slot_free_the_line_is_told_as_it_is(store: Store) -> None:
    model = await ready(store, slots=1)
    await take(store, model, "a")
    assert await take(store, model, "b") == await store.lines.look(model)


async def test_nobody_passes_who_waits(store: Store) -> None:
    model = await ready(store, slots=2)
    await take(store, model, "a")
    assert await store.lines.join(model, waiter("b"), max_waiting=9)
    line = await take(store, model, "c")
    assert line is not None
    assert list(line.waiting) == ["b"]


@pytest.mark.parametrize("status", ["warming", "off"])
async def test_a_model_without_copies_gives_neither_slot_nor_place(store: Store, status: ModelStatus) -> None:
    model = await ready(store, slots=2)
    assert await store.lines.join(model, waiter("b"), max_waiting=9)
    await store.lines.describe(model, status=status, copies=0, slots=2)
    assert await take(store, model, "a") is not None
    assert not await store.lines.join(model, waiter("a"), max_waiting=9)
    assert not await store.lines.take_turn(model, waiter("b"), deadline_s=DEADLINE_S)


async def test_a_place_is_kept_as_it_was_joined(store: Store) -> None:
    model = await ready(store, slots=0)
    places = [waiter("a"), waiter("b", rank=QUEUED)]
    for place in places:
        assert await store.lines.join(model, place, max_waiting=9)
    assert dict((await store.lines.look(model)).waiting) == {place.request_id: place for place in places}


async def test_a_full_line_takes_nobody(store: Store) -> None:
    model = await ready(store, slots=0)
    joined = await asyncio.gather(
        *(store.lines.join(model, waiter(f"w{number}"), max_waiting=3) for number in range(12))
    )
    assert sum(joined) == 3
    assert len((await store.lines.look(model)).waiting) == 3


async def test_who_has_a_place_in_a_full_line_is_told_so_again(store: Store) -> None:
    model = await ready(store, slots=0)
    for _ in range(2):
        assert await store.lines.join(model, waiter("a"), max_waiting=1)
    assert not await store.lines.join(model, waiter("b"), max_waiting=1)


async def test_the_place_of_another_is_taken_in_a_full_line_and_only_once(store: Store) -> None:
    model = await ready(store, slots=0)
    for name in ("a", "b"):
        await store.lines.join(model, waiter(name), max_waiting=2)
    joined = await asyncio.gather(
        *(store.lines.join(model, waiter(name), max_waiting=2, instead_of="b") for name in ("c", "d"))
    )
    assert sorted(joined) == [False, True]
    (winner,) = [name for name, won in zip(("c", "d"), joined, strict=True) if won]
    assert sorted((await store.lines.look(model)).waiting) == ["a", winner]
    assert await store.lines.join(model, waiter(winner), max_waiting=2, instead_of="b"), "a repeat is told the same"
    await store.lines.describe(model, status="warming", copies=0, slots=0)
    assert not await store.lines.join(model, waiter("e"), max_waiting=2, instead_of="a")


async def test_a_turn_makes_a_place_a_slot(store: Store) -> None:
    model = await ready(store, slots=1)
    await store.lines.join(model, waiter("a"), max_waiting=9)
    assert await store.lines.take_turn(model, waiter("a"), deadline_s=DEADLINE_S + 1)
    line = await store.lines.look(model)
    assert dict(line.waiting) == {}
    assert line.open["a"].deadline_s == DEADLINE_S + 1
    assert line.open["a"].account_id == "of-a"
    assert await store.lines.take_turn(model, waiter("a"), deadline_s=DEADLINE_S), "a repeat is told the same"


async def test_without_a_place_or_a_free_slot_there_is_no_turn(store: Store) -> None:
    model = await ready(store, slots=1)
    assert not await store.lines.take_turn(model, waiter("a"), deadline_s=DEADLINE_S)
    await take(store, model, "b")
    await store.lines.join(model, waiter("a"), max_waiting=9)
    assert not await store.lines.take_turn(model, waiter("a"), deadline_s=DEADLINE_S)
    assert (await store.lines.look(model)).demand == 2


async def test_many_at_once_never_hold_more_than_the_slots(store: Store) -> None:
    model = await ready(store, slots=5)
    taken = await asyncio.gather(*(take(store, model, f"t{number}") for number in range(25)))
    assert sum(line is None for line in taken) == 5
    waiters = [waiter(f"w{number}") for number in range(25)]
    await asyncio.gather(*(store.lines.join(model, one, max_waiting=99) for one in waiters))
    holders = list((await store.lines.look(model)).open)
    await asyncio.gather(*(store.lines.leave(model, name) for name in holders[:3]))
    turns = await asyncio.gather(*(store.lines.take_turn(model, one, deadline_s=DEADLINE_S) for one in waiters))
    assert sum(turns) == 3
    line = await store.lines.look(model)
    assert (len(line.open), len(line.waiting)) == (5, 22)


async def test_leaving_gives_back_slot_and_place_and_a_second_time_nothing(store: Store) -> None:
    model = await ready(store, slots=1)
    await take(store, model, "a")
    await store.lines.join(model, waiter("b"), max_waiting=9)
    for name in ("b", "a", "a", "b", "never came"):
        await store.lines.leave(model, name)
    line = await store.lines.look(model)
    assert (dict(line.open), dict(line.waiting)) == ({}, {})
    assert await take(store, model, "c") is None


async def test_the_service_time_is_the_mean_of_what_was_served(store: Store) -> None:
    model = await ready(store, slots=3)
    before = (await store.lines.look(model)).service_s
    assert before > 0
    for name, served_s in (("a", 2.0), ("b", 4.5)):
        await take(store, model, name)
        await store.lines.leave(model, name, served_s=served_s)
    assert (await store.lines.look(model)).service_s == pytest.approx(3.25)


async def test_a_slot_given_back_twice_or_without_an_answer_counts_no_time(store: Store) -> None:
    model = await ready(store, slots=3)
    await take(store, model, "a")
    await store.lines.leave(model, "a", served_s=2.0)
    await store.lines.leave(model, "a", served_s=90.0)
    await take(store, model, "b")
    await store.lines.leave(model, "b")
    assert (await store.lines.look(model)).service_s == pytest.approx(2.0)


async def test_the_dead_are_removed_and_the_living_stay(store: Store) -> None:
    model = await ready(store, slots=2)
    await take(store, model, "dead holder", deadline_s=NOON_S + 1.5)
    await take(store, model, "holder")
    await store.lines.join(model, waiter("dead waiter", deadline_s=NOON_S + 1.5), max_waiting=9)
    await store.lines.join(model, waiter("waiter"), max_waiting=9)
    await store.lines.remove_dead(await store.lines.look(model), now_s=NOON_S + 2)
    line = await store.lines.look(model)
    assert (list(line.open), list(line.waiting)) == (["holder"], ["waiter"])


async def test_who_was_renewed_since_the_line_was_seen_is_not_removed(store: Store) -> None:
    model = await ready(store, slots=1)
    await take(store, model, "a", deadline_s=NOON_S + 1)
    seen = await store.lines.look(model)
    await store.lines.leave(model, "a")
    await take(store, model, "a", deadline_s=NOON_S + 50)
    await store.lines.remove_dead(seen, now_s=NOON_S + 2)
    assert list((await store.lines.look(model)).open) == ["a"]


async def test_who_was_dead_and_took_its_turn_since_is_not_removed(store: Store) -> None:
    model = await ready(store, slots=1)
    late = waiter("a", deadline_s=NOON_S + 1)
    await store.lines.join(model, late, max_waiting=9)
    seen = await store.lines.look(model)
    assert await store.lines.take_turn(model, late, deadline_s=NOON_S + 50)
    await store.lines.remove_dead(seen, now_s=NOON_S + 2)
    assert list((await store.lines.look(model)).open) == ["a"]


async def test_removing_the_dead_twice_is_no_error(store: Store) -> None:
    model = await ready(store, slots=1)
    await take(store, model, "a", deadline_s=NOON_S + 1)
    seen = await store.lines.look(model)
    for _ in range(2):
        await store.lines.remove_dead(seen, now_s=NOON_S + 2)
    assert (await store.lines.look(model)).demand == 0


async def test_the_last_want_of_a_model_is_told(store: Store) -> None:
    model = await ready(store, slots=0, status="warming")
    assert (await store.lines.look(model)).wanted_s == 0
    for now_s in (NOON_S + 0.5, NOON_S + 30.25, NOON_S + 7):
        await store.lines.want(model, now_s=now_s)
    assert (await store.lines.look(model)).wanted_s == NOON_S + 30.25
    line = await store.lines.describe(model, status="warming", copies=0, slots=0)
    assert line.wanted_s == NOON_S + 30.25


async def test_wanting_a_model_that_nobody_described_makes_no_line(store: Store) -> None:
    await store.lines.want("never/wanted", now_s=NOON_S)
    assert (await store.lines.look("never/wanted")).status == "off"
    assert (await store.lines.look("never/wanted")).wanted_s == 0


async def test_a_description_changes_what_is_known_of_copies_and_nobodys_place(store: Store) -> None:
    model = await ready(store, slots=1)
    await take(store, model, "a")
    await store.lines.join(model, waiter("b", rank=INTERACTIVE), max_waiting=9)
    line = await store.lines.describe(model, status="ready", copies=3, slots=12)
    assert (line.status, line.copies, line.slots) == ("ready", 3, 12)
    assert (list(line.open), list(line.waiting)) == (["a"], ["b"])
    assert line == await store.lines.look(model)


async def test_slots_that_went_away_are_not_given_out_again(store: Store) -> None:
    model = await ready(store, slots=2)
    await take(store, model, "a")
    await take(store, model, "b")
    await store.lines.describe(model, status="ready", copies=1, slots=1)
    await store.lines.leave(model, "a")
    assert await take(store, model, "c") is not None


async def test_a_turn_is_remembered_until_nobody_waits(store: Store) -> None:
    model = await ready(store, slots=1)
    await store.lines.join(model, waiter("a"), max_waiting=9)
    await store.lines.join(model, waiter("b"), max_waiting=9)
    await store.lines.take_turn(model, waiter("a"), deadline_s=DEADLINE_S)
    await store.lines.tidy(await store.lines.look(model))
    account = waiter("a").account_id
    assert dict((await store.lines.look(model)).turns) == {account: DEADLINE_S}
    await store.lines.leave(model, "b")
    await store.lines.tidy(await store.lines.look(model))
    assert dict((await store.lines.look(model)).turns) == {}


async def test_old_service_times_fade(store: Store) -> None:
    model = await ready(store, slots=300)
    for number in range(202):
        await take(store, model, f"r{number}")
        await store.lines.leave(model, f"r{number}", served_s=2.0)
    await store.lines.tidy(await store.lines.look(model))
    line = await store.lines.look(model)
    assert line.served == 101
    assert line.service_s == 2.0
