"""A gateway of fakes: everything that a generation needs, in memory, with one customer and one ready model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.application.generation import Generate, Order, Run
from gateway.application.images import LoadImages
from gateway.application.ports import SearchBackend, Web
from gateway.application.queueing import Queue
from gateway.application.searching import WebSearch
from gateway.application.settling import Settle
from gateway.domain.admission import Account
from gateway.domain.answer import Ending, Extra, Piece
from gateway.domain.models import Model
from gateway.domain.usage import Settlement

from tests.support.accounts import Customer, new_customer, new_model
from tests.support.clock import ManualClock
from tests.support.fake_engine import FakeEngine, Script
from tests.support.fake_ledger import Books, FakeAccounts, FakeLedger
from tests.support.fake_lines import FakeLines
from tests.support.fakes import FakeBus, FakeOutbox
from tests.support.faults import Faults

TIMEOUT_S = 60.0
PATIENCE_S = 10.0
WAIT_S = 20.0


@dataclass
class House:
    """What stands; `generate` drives it."""

    generate: Generate
    engine: FakeEngine
    clock: ManualClock
    books: Books
    accounts: FakeAccounts
    lines: FakeLines
    outbox: FakeOutbox
    bus: FakeBus
    customer: Customer
    model: Model
    faults: Faults = field(default_factory=Faults)

    async def account(self) -> Account:
        """The customer's account as it is now."""
        account = await self.accounts.read(self.customer.account.id)
        assert account is not None
        return account

    async def held(self) -> set[str]:
        """The requests that hold a slot or a place in the line."""
        line = await self.lines.look(self.model.id)
        return {*line.open, *line.waiting}

    def settled(self) -> list[Settlement]:
        """What the ledger has recorded for the customer."""
        return self.books.of(self.customer.account.id)


async def build_house(
    *scripts: Script,
    faults: Faults | None = None,
    patience_s: float = PATIENCE_S,
    customer: Customer | None = None,
    slots: int = 2,
    dialect: str = "llama.cpp",
    search: SearchBackend | None = None,
    web: Web | None = None,
) -> House:
    """A house whose engine plays these scripts."""
    clock = ManualClock()
    books = Books()
    faults = faults or Faults()
    accounts = FakeAccounts(books, clock)
    lines, outbox, bus, engine = FakeLines(), FakeOutbox(), FakeBus(), FakeEngine(clock, *scripts)
    customer = customer or new_customer()
    model = new_model(dialect=dialect)
    await accounts.create(customer.account)
    await lines.describe(model.id, status="ready", copies=1, slots=slots)
    ledger = faults.on(FakeLedger(books))
    faulty_lines = faults.on(lines)
    generate = Generate(
        ledger=ledger,
        lines=faulty_lines,
        queue=Queue(faulty_lines, clock, wait_s=WAIT_S),
        engine=faults.on(engine),
        search=WebSearch(search, clock, budget_usd=1.0),
        load_images=LoadImages(lambda: web or no_web()),
        settle=Settle(ledger, faults.on(outbox)),
        bus=bus,
        clock=clock,
        timeout_s=TIMEOUT_S,
        patience_s=patience_s,
    )
    return House(generate, engine, clock, books, accounts, lines, outbox, bus, customer, model, faults)


def no_web() -> Web:
    """Where no test has put a web, nothing may be fetched."""
    raise AssertionError("an image was to be fetched")


@dataclass
class Told:
    """What a face would have told its client."""

    texts: list[str] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    extras: list[Extra] = field(default_factory=list)
    silences: int = 0

    def take(self, batch: Sequence[Piece | Ending | Extra]) -> None:
        """Takes a batch of a run."""
        self.silences += not batch
        for item in batch:
            if isinstance(item, Ending):
                self.endings.append(item)
            elif isinstance(item, Extra):
                self.extras.append(item)
            else:
                self.texts.append(item.delta["content"])


async def drive(house: House, order: Order, *, leave_after: int | None = None) -> tuple[Run, Told, Settlement]:
    """Runs an order as a face does, leaving after so many batches if told to; raises what the run raised."""
    run = await house.generate.start(order)
    told = Told()
    try:
        count = 0
        async for batch in run.pieces():
            told.take(batch)
            count += 1
            if count == leave_after:
                break
    except BaseException as error:
        await run.close(error)
        raise
    return run, told, await run.close()


async def nothing_is_held(house: House) -> None:
    """No lease, no slot, no place in the line, and the counters hold only what was used."""
    account = await house.account()
    assert dict(account.open) == {}
    assert await house.held() == set()
    assert account.tokens_today == sum(record.tokens.total for record in house.settled())
