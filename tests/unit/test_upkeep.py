"""What happens even if nobody asks: dead leases end as lost, models are described as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gateway.application.settling import Settle
from gateway.application.upkeep import Sweep, WatchModels
from gateway.catalogue import load_catalogue
from gateway.domain.line import WANTED_FOR_S, Waiter

from tests.support.accounts import Customer, new_customer, new_lease, new_model
from tests.support.clock import ManualClock
from tests.support.fake_ledger import Books, FakeAccounts, FakeLedger
from tests.support.fake_lines import FakeLines
from tests.support.fakes import FakeBus, FakeFleet, FakeOutbox

pytestmark = pytest.mark.anyio
SMALL, LARGE = new_model("small"), new_model("large")


class Office:
    """The ledger's side of upkeep."""

    def __init__(self) -> None:
        self.clock, self.books = ManualClock(), Books()
        self.accounts, self.ledger = FakeAccounts(self.books, self.clock), FakeLedger(self.books)
        self.sweep = Sweep(self.accounts, Settle(self.ledger, FakeOutbox()), self.clock)

    async def open(self, *, holds_s: tuple[float, ...]) -> Customer:
        customer = new_customer()
        await self.accounts.create(customer.account)
        for seconds in holds_s:
            await self.ledger.admit(
                new_lease(customer, holds_s=seconds, admitted_s=self.clock.now_s()), key_hash=customer.key.hash
            )
        return customer


async def test_dead_leases_of_every_account_end_as_lost_and_give_their_quota_back() -> None:
    office = Office()
    first = await office.open(holds_s=(10, 20, 500))
    second = await office.open(holds_s=(10,))
    await office.open(holds_s=())
    office.clock.advance(60)
    assert await office.sweep() == 3
    assert {record.status for record in office.books.records} == {"lost"}
    account = await office.accounts.read(first.account.id)
    assert account is not None
    assert (len(account.open), account.tokens_today) == (1, 100)
    account = await office.accounts.read(second.account.id)
    assert account is not None
    assert (len(account.open), account.tokens_today) == (0, 0)


async def test_a_second_sweep_finds_nothing() -> None:
    office = Office()
    await office.open(holds_s=(10,))
    office.clock.advance(60)
    assert [await office.sweep(), await office.sweep()] == [1, 0]
    assert len(office.books.records) == 1


async def test_living_leases_are_left_alone() -> None:
    office = Office()
    await office.open(holds_s=(10,))
    office.clock.advance(9)
    assert await office.sweep() == 0
    assert office.books.records == []


class Hall:
    """The models' side of upkeep."""

    def __init__(self) -> None:
        self.clock, self.lines, self.fleet = ManualClock(), FakeLines(), FakeFleet()
        catalogue = replace(load_catalogue(), models={model.id: model for model in (SMALL, LARGE)})
        self.bus = FakeBus()
        self.watch = WatchModels(catalogue, self.fleet, self.lines, self.bus, self.clock)

    async def wait(self, name: str, *, seconds: float) -> None:
        now_s = self.clock.now_s()
        waiter = Waiter(request_id=name, account_id="a", since_s=now_s, deadline_s=now_s + seconds)
        assert await self.lines.join(SMALL.id, waiter, max_waiting=9)


async def test_every_model_is_described_by_its_copies() -> None:
    hall = Hall()
    hall.fleet.place(SMALL, copies=3)
    lines = {line.model: line for line in await hall.watch()}
    assert (lines["small"].status, lines["small"].copies, lines["small"].slots) == ("ready", 3, 6)
    assert lines["large"].status == "off"
    assert await hall.lines.look("small") == lines["small"]


async def test_only_the_models_asked_for_are_looked_at() -> None:
    hall = Hall()
    hall.fleet.place(SMALL, copies=1)
    hall.fleet.place(LARGE, copies=1)
    assert [line.model for line in await hall.watch([LARGE])] == ["large"]
    assert (await hall.lines.look("small")).status == "off"


async def test_the_dead_in_a_line_are_removed_and_the_living_stay() -> None:
    hall = Hall()
    hall.fleet.place(SMALL, copies=1)
    await hall.watch()
    await hall.lines.take(SMALL.id, request_id="dead", account_id="a", deadline_s=hall.clock.now_s() + 1)
    await hall.wait("dead too", seconds=1)
    await hall.wait("alive", seconds=99)
    hall.clock.advance(5)
    (line,) = await hall.watch([SMALL])
    assert (dict(line.open), list(line.waiting)) == ({}, ["alive"])


async def test_a_model_with_demand_and_no_copy_is_woken_and_one_without_demand_sleeps_on() -> None:
    hall = Hall()
    hall.fleet.place(SMALL, copies=1)
    await hall.watch([SMALL])
    hall.fleet.place(SMALL, copies=0)
    (line,) = await hall.watch([SMALL])
    assert (line.status, line.slots, hall.fleet.woken) == ("warming", 0, [])
    hall.fleet.place(SMALL, copies=1)
    await hall.watch([SMALL])
    await hall.wait("a", seconds=99)
    hall.fleet.place(SMALL, copies=0)
    await hall.watch([SMALL])
    assert hall.fleet.woken == ["small"]


async def test_a_model_that_was_taken_away_is_off() -> None:
    hall = Hall()
    hall.fleet.place(SMALL, copies=1)
    await hall.watch([SMALL])
    (line,) = await replace(hall.watch, fleet=FakeFleet())([SMALL])
    assert (line.status, line.slots) == ("off", 0)


async def test_a_model_without_copies_that_was_asked_for_in_vain_is_woken_for_a_while() -> None:
    hall = Hall()
    hall.fleet.place(SMALL, copies=0)
    await hall.watch([SMALL])
    await hall.lines.want(SMALL.id, now_s=hall.clock.now_s())
    hall.clock.advance(WANTED_FOR_S - 1)
    await hall.watch([SMALL])
    assert hall.fleet.woken == ["small"]
    hall.clock.advance(1)
    await hall.watch([SMALL])
    assert hall.fleet.woken == ["small"]


async def test_a_change_of_state_is_published_and_its_absence_is_not() -> None:
    hall = Hall()
    hall.fleet.place(SMALL, copies=2)
    await hall.watch([SMALL])
    await hall.watch([SMALL])
    hall.fleet.place(SMALL, copies=3)
    await hall.watch([SMALL])
    hall.fleet.place(SMALL, copies=0)
    await hall.watch([SMALL])
    assert [(kind, detail["status"], detail["copies"]) for kind, detail in hall.bus.published] == [
        ("ModelStateChanged", "ready", 2),
        ("ModelStateChanged", "ready", 3),
        ("ModelStateChanged", "warming", 0),
    ]
