"""GET /v1/usage: today, the week and the month, by key, model and endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from gateway.application.reporting import UsageReport
from gateway.catalogue import load_catalogue

from tests.support.accounts import Customer, new_customer, new_lease, new_settlement
from tests.support.clock import NOON_S, ManualClock
from tests.support.fake_ledger import Books, FakeAccounts, FakeLedger

pytestmark = pytest.mark.anyio
DAY_S = 86_400


class Desk:
    """A report over one customer whose requests a test makes."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.customer: Customer = new_customer(
            **{"max_open_requests": 99, "requests_per_minute": 99, "daily_tokens": None, **settings}
        )
        books = Books()
        self.accounts, self.ledger = FakeAccounts(books, self.clock), FakeLedger(books)
        self.report = UsageReport(self.accounts, load_catalogue(), self.clock)

    async def open(self) -> Desk:
        await self.accounts.create(self.customer.account)
        return self

    async def use(self, tokens: int, *, days_ago: int = 0, model: str = "small", http_status: int = 200) -> None:
        lease = new_lease(self.customer, admitted_s=NOON_S - days_ago * DAY_S, model=model)
        await self.ledger.admit(lease, key_hash=self.customer.key.hash)
        await self.ledger.settle(
            new_settlement(lease, prompt=0, completion=tokens, cost_nano_usd=tokens * 1000, http_status=http_status)
        )

    async def read(self) -> dict[str, Any]:
        account = await self.accounts.read(self.customer.account.id)
        assert account is not None
        return await self.report.of(account)


async def test_an_account_that_did_nothing_has_a_report_of_zeros() -> None:
    report = await (await Desk().open()).read()
    for name in ("today", "week", "month"):
        assert report[name]["requests"] == report[name]["total_tokens"] == report[name]["error_rate"] == 0
        assert report[name]["cost"] == report[name]["billed"] == 0
        assert (report[name]["keys"], report[name]["models"], report[name]["endpoints"]) == ({}, {}, {})


async def test_periods_hold_their_days_and_no_others() -> None:
    desk = await Desk().open()
    desk.clock.advance(2 * DAY_S)  # Wednesday 2026-11-25
    for tokens, days_ago in ((1, -2), (10, -1), (100, 0), (1000, 1), (10_000, 22), (100_000, 23)):
        await desk.use(tokens, days_ago=days_ago)
    report = await desk.read()
    assert report["today"]["total_tokens"] == 1
    assert report["week"]["total_tokens"] == 111
    assert report["month"]["total_tokens"] == 11_111
    assert (report["week"]["from"], report["week"]["to"]) == ("2026-11-23", "2026-11-25")
    assert (report["month"]["from"], report["today"]["from"]) == ("2026-11-01", "2026-11-25")


async def test_a_week_that_began_in_the_last_month_is_whole() -> None:
    desk = await Desk().open()
    desk.clock.advance(8 * DAY_S)  # Tuesday 2026-12-01
    await desk.use(1, days_ago=-8)
    await desk.use(10, days_ago=-7)
    report = await desk.read()
    assert (report["month"]["total_tokens"], report["week"]["total_tokens"]) == (1, 11)


async def test_each_group_sums_to_the_whole() -> None:
    desk = await Desk().open()
    await desk.use(5, model="a")
    await desk.use(7, model="b/c")
    await desk.use(1, model="b/c", http_status=500)
    today = (await desk.read())["today"]
    assert today["models"].keys() == {"a", "b/c"}
    assert today["keys"].keys() == {desk.customer.key.key_id}
    assert today["endpoints"].keys() == {"/v1/chat/completions"}
    for group in ("models", "keys", "endpoints"):
        for measure in ("requests", "errors", "total_tokens"):
            assert sum(totals[measure] for totals in today[group].values()) == today[measure]
    assert (today["requests"], today["errors"], today["error_rate"]) == (3, 1, 0.3333)
    assert today["models"]["b/c"]["error_rate"] == 0.5


async def test_costs_are_in_dollars_and_only_tokens_past_each_day_are_billed() -> None:
    desk = await Desk(plan="pro").open()
    await desk.use(150_000)
    await desk.use(120_000, days_ago=1)
    await desk.use(90_000, days_ago=2)
    report = await desk.read()
    assert report["today"]["cost"] == 0.15
    assert report["today"]["billed"] == 0.05
    assert report["month"]["billed"] == 0.07, "a day under its tokens pays nothing back to another"


async def test_limits_and_what_is_running_are_told() -> None:
    desk = await Desk(daily_tokens=500, included_tokens=400).open()
    await desk.ledger.admit(new_lease(desk.customer, reserved_tokens=70), key_hash=desk.customer.key.hash)
    report = await desk.read()
    assert report["limits"] == {
        "tokens_per_day": 500,
        "included_tokens_per_day": 400,
        "requests_per_minute": 99,
        "open_requests": 99,
    }
    assert (report["open_requests"], report["reserved_tokens"]) == (1, 70)
    assert (report["object"], report["account"], report["plan"]) == ("usage", desk.customer.account.id, "free")
