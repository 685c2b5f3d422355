"""The end of every request: the ledger, else the outbox, else the lease stays."""

from __future__ import annotations

import logging

import pytest
from gateway.application.settling import Settle

from tests.support.accounts import new_customer, new_lease, new_settlement
from tests.support.fake_ledger import Books, FakeLedger, Page
from tests.support.fakes import FakeOutbox
from tests.support.faults import Faults

pytestmark = pytest.mark.anyio


class Desk:
    """A settler over one customer with one open lease."""

    def __init__(self, *failing: str) -> None:
        faults = Faults(every=frozenset(failing))
        customer = new_customer()
        self.books, self.outbox = Books(), FakeOutbox()
        self.page = self.books.pages[customer.account.id] = Page(customer.account)
        self.settlement = new_settlement(new_lease(customer))
        self.page.open[self.settlement.lease.request_id] = self.settlement.lease
        self.settle = Settle(faults.on(FakeLedger(self.books)), faults.on(self.outbox))


async def test_a_settlement_goes_to_the_ledger_and_not_to_the_outbox() -> None:
    desk = Desk()
    await desk.settle(desk.settlement)
    assert (desk.books.records, desk.outbox.kept) == ([desk.settlement], [])


async def test_a_settlement_that_was_made_before_goes_nowhere() -> None:
    desk = Desk()
    await desk.settle(desk.settlement)
    await desk.settle(desk.settlement)
    assert (desk.books.records, desk.outbox.kept) == ([desk.settlement], [])


async def test_a_settlement_that_the_ledger_refuses_goes_to_the_outbox_as_it_is() -> None:
    desk = Desk("settle")
    await desk.settle(desk.settlement)
    assert (desk.books.records, desk.outbox.kept) == ([], [desk.settlement])


async def test_a_settlement_that_nobody_takes_is_logged_and_its_lease_stays(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk("settle", "put")
    with caplog.at_level(logging.ERROR):
        await desk.settle(desk.settlement)
    assert list(desk.page.open) == [desk.settlement.lease.request_id]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert caplog.records[0].__dict__["lease"] == desk.settlement.lease.request_id
