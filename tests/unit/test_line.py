"""The order of the line: fair between accounts, first come first served within one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gateway.domain.errors import ServiceUnavailable
from gateway.domain.line import INTERACTIVE, QUEUED, Holder, Line, ModelStatus, Waiter, not_ready, waited_too_long
from hypothesis import given
from hypothesis import strategies as st

NOW_S = 1000.0
NAMES = ("ann", "ben", "cat")


@st.composite
def lines(draw: st.DrawFn) -> Line:
    accounts = draw(st.lists(st.sampled_from(NAMES), max_size=12))
    holders = draw(st.lists(st.sampled_from(NAMES), max_size=6))
    since = st.floats(0, NOW_S, exclude_max=True)
    deadlines = st.floats(NOW_S - 5, NOW_S + 20)
    return line(
        waiting=[
            Waiter(
                request_id=f"w{index}",
                account_id=account,
                since_s=draw(since),
                deadline_s=draw(deadlines),
                rank=draw(st.sampled_from([INTERACTIVE, QUEUED])),
            )
            for index, account in enumerate(accounts)
        ],
        holding=[
            Holder(request_id=f"h{index}", account_id=account, deadline_s=draw(deadlines))
            for index, account in enumerate(holders)
        ],
        slots=draw(st.integers(0, 8)),
    )


def line(
    *,
    waiting: list[Waiter],
    holding: list[Holder],
    slots: int,
    status: ModelStatus = "ready",
    service_s: float = 10.0,
) -> Line:
    return Line(
        model="small",
        status=status,
        copies=1,
        slots=slots,
        service_s=service_s,
        open={holder.request_id: holder for holder in holding},
        waiting={waiter.request_id: waiter for waiter in waiting},
    )


def waiter(name: str, *, since_s: float, rank: int = INTERACTIVE) -> Waiter:
    account = name.rstrip("0123456789")
    return Waiter(request_id=name, account_id=account, since_s=since_s, deadline_s=NOW_S + 20, rank=rank)


def holder(name: str, *, deadline_s: float = NOW_S + 20) -> Holder:
    return Holder(request_id=name, account_id=name.rstrip("0123456789"), deadline_s=deadline_s)


def names(line: Line) -> list[str]:
    return [waiter.request_id for waiter in line.order(NOW_S)]


@given(lines())
def test_the_order_holds_each_living_waiter_once_and_no_dead_one(line: Line) -> None:
    order = line.order(NOW_S)
    assert sorted(waiter.request_id for waiter in order) == sorted(
        waiter.request_id for waiter in line.waiting.values() if waiter.deadline_s > NOW_S
    )


@given(lines())
def test_within_an_account_first_come_is_first_served(line: Line) -> None:
    order = line.order(NOW_S)
    for account in {waiter.account_id for waiter in order}:
        own = [(waiter.rank, waiter.since_s) for waiter in order if waiter.account_id == account]
        assert own == sorted(own)


@given(lines())
def test_queued_work_goes_after_all_interactive(line: Line) -> None:
    ranks = [waiter.rank for waiter in line.order(NOW_S)]
    assert ranks == sorted(ranks)


@given(lines())
def test_a_burst_of_one_account_stands_behind_the_first_request_of_an_account_that_holds_no_more(line: Line) -> None:
    held = {name: sum(h.account_id == name and h.deadline_s > NOW_S for h in line.open.values()) for name in NAMES}
    order = [waiter for waiter in line.order(NOW_S) if waiter.rank == INTERACTIVE]
    place: dict[str, list[int]] = {}
    for position, waiting in enumerate(order):
        place.setdefault(waiting.account_id, []).append(position)
    for account, places in place.items():
        for other, others in place.items():
            if other != account and held[other] <= held[account]:
                assert all(others[0] < later for later in places[1:])


@given(lines())
def test_no_more_waiters_have_their_turn_than_slots_are_free(line: Line) -> None:
    turns = [name for name in line.waiting if line.ahead_of(name, NOW_S) == 0]
    assert len(turns) == min(len(line.order(NOW_S)), max(0, line.slots - len(line.open)))


@given(lines())
def test_as_many_slots_have_to_come_free_as_stand_before_a_waiter(line: Line) -> None:
    free = max(0, line.slots - len(line.open))
    ahead = [line.ahead_of(waiter.request_id, NOW_S) for waiter in line.order(NOW_S)]
    assert ahead == [max(0, place + 1 - free) for place in range(len(ahead))]
    dead = [name for name, waiter in line.waiting.items() if waiter.deadline_s <= NOW_S]
    assert [line.ahead_of(name, NOW_S) for name in [*dead, "never came"]] == [None] * (len(dead) + 1)


def test_who_is_next_looks_oftenest_and_nobody_without_end() -> None:
    busy = line(waiting=[], holding=[], slots=8, service_s=6)
    looks = [busy.look_again_s(ahead) for ahead in range(40)]
    assert looks == sorted(looks)
    assert (looks[0], looks[4], looks[-1]) == pytest.approx((0.3, 0.75, 2.0))
    assert line(waiting=[], holding=[], slots=0, service_s=0.1).look_again_s(1) == 0.1


@given(lines(), st.sampled_from(NAMES), st.sampled_from([INTERACTIVE, QUEUED]))
def test_a_newcomer_to_a_full_line_takes_the_place_of_the_last_that_stands_behind_it(
    line: Line, account: str, rank: int
) -> None:
    newcomer = Waiter(request_id="new", account_id=account, since_s=NOW_S, deadline_s=NOW_S + 20, rank=rank)
    after = replace(line, waiting={**line.waiting, "new": newcomer}).order(NOW_S)
    displaced = line.displaced_by(newcomer, NOW_S)
    assert displaced == (None if after[-1] == newcomer else after[-1])
    if displaced is not None and displaced.rank == rank:
        assert displaced.account_id != account, "nobody makes room for its own account's later request"


def test_a_full_line_of_one_account_makes_room_for_another_and_not_for_its_own() -> None:
    burst = line(waiting=[waiter(f"ann{number}", since_s=number) for number in range(4)], holding=[], slots=1)
    displaced = burst.displaced_by(waiter("ben1", since_s=NOW_S), NOW_S)
    assert displaced is not None
    assert displaced.request_id == "ann3"
    assert burst.displaced_by(waiter("ann9", since_s=NOW_S), NOW_S) is None


def test_queued_work_makes_room_for_any_interactive_request() -> None:
    waiting = [waiter("ann1", since_s=1), waiter("job1", since_s=2, rank=QUEUED)]
    displaced = line(waiting=waiting, holding=[], slots=1).displaced_by(waiter("ann2", since_s=3), NOW_S)
    assert displaced is not None
    assert displaced.request_id == "job1"


def test_the_order_does_not_depend_on_how_the_item_lists_its_waiters() -> None:
    waiting = [waiter("ann1", since_s=1), waiter("ann2", since_s=2), waiter("ben1", since_s=3)]
    expected = ["ann1", "ben1", "ann2"]
    assert names(line(waiting=waiting, holding=[], slots=1)) == expected
    assert names(line(waiting=waiting[::-1], holding=[], slots=1)) == expected


def test_an_account_that_holds_slots_stands_behind_one_that_holds_none() -> None:
    waiting = [waiter("ann1", since_s=1), waiter("ben1", since_s=2)]
    assert names(line(waiting=waiting, holding=[holder("ann9")], slots=2)) == ["ben1", "ann1"]


def test_a_dead_holder_weighs_nothing_on_its_account() -> None:
    waiting = [waiter("ann1", since_s=1), waiter("ben1", since_s=2)]
    assert names(line(waiting=waiting, holding=[holder("ann9", deadline_s=NOW_S)], slots=2)) == ["ann1", "ben1"]


def test_a_dead_holder_keeps_its_slot_until_it_is_removed() -> None:
    full = line(waiting=[waiter("ann1", since_s=1)], holding=[holder("ben1", deadline_s=NOW_S)], slots=1)
    assert full.ahead_of("ann1", NOW_S) == 1
    assert [entry.request_id for entry in full.dead(NOW_S)] == ["ben1"]


def test_two_that_came_at_once_are_ordered_by_their_ids() -> None:
    assert names(line(waiting=[waiter("ben1", since_s=1), waiter("ann1", since_s=1)], holding=[], slots=1)) == [
        "ann1",
        "ben1",
    ]


@given(lines())
def test_demand_counts_who_holds_and_who_waits(line: Line) -> None:
    assert line.demand == len(line.open) + len(line.waiting)


@given(lines(), st.integers(1, 8))
def test_a_newcomer_is_refused_only_when_the_line_is_full_and_told_when_to_come_back(line: Line, most: int) -> None:
    refusal = line.refusal(max_waiting=most)
    assert (refusal is None) == (len(line.waiting) < most)
    if refusal is not None:
        assert refusal.reason == "line_full"
        assert refusal.retry_after_s is not None
        assert refusal.retry_after_s >= 1


@given(st.integers(1, 64), st.floats(0, 500), st.floats(0, 120), st.integers(0, 8))
def test_who_has_a_place_comes_to_a_slot_within_the_wait(
    slots: int, service_s: float, wait_s: float, per_slot: int
) -> None:
    looked = line(waiting=[], holding=[], slots=slots, service_s=service_s)
    places = looked.places(wait_s=wait_s, per_slot=per_slot)
    assert 1 <= places <= max(1, slots * per_slot)
    assert places == 1 or service_s * places / slots <= wait_s + 1e-6
    more = replace(looked, service_s=service_s + 1).places(wait_s=wait_s, per_slot=per_slot)
    assert more <= places


@pytest.mark.parametrize(("status", "reason"), [("warming", "model_warming"), ("off", "model_off")])
def test_a_model_without_copies_says_whether_it_is_on_its_way(status: ModelStatus, reason: str) -> None:
    refusal = line(waiting=[], holding=[], slots=2, status=status).refusal(max_waiting=8)
    assert isinstance(refusal, ServiceUnavailable)
    assert refusal.reason == reason
    assert refusal.retry_after_s == not_ready("small", status).retry_after_s


def test_the_expected_wait_grows_with_who_waits_and_shrinks_with_slots() -> None:
    waiting = [waiter(f"ann{index}", since_s=index) for index in range(5)]
    holding = [holder("ben1"), holder("ben2")]
    full = line(waiting=waiting, holding=holding, slots=2)
    assert full.expected_wait_s() == 30
    assert waited_too_long(full).retry_after_s == 30
    assert line(waiting=[], holding=[], slots=2, service_s=0.2).expected_wait_s() == 1


def test_at_one_slot_a_burst_does_not_go_before_a_later_account_again_and_again() -> None:
    burst = [waiter(f"ann{number}", since_s=float(number)) for number in range(5)]
    waiting = line(waiting=[*burst, waiter("ben0", since_s=90.0)], holding=[], slots=1)
    assert names(waiting)[0] == "ann0"
    after_a_turn = replace(waiting, turns={"ann": NOW_S - 1})
    assert names(after_a_turn)[:2] == ["ben0", "ann0"]
