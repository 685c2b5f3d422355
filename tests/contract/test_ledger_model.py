"""Any sequence of what can happen to accounts, and after each step the ledger agrees with a ledger kept on paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from gateway.application.ports import Accounts
from gateway.application.settling import Settle
from gateway.application.upkeep import Sweep
from gateway.domain.admission import Account
from gateway.domain.errors import AuthenticationFailed, DailyQuotaReached, GatewayError, LeaseGone
from gateway.domain.usage import Lease, Settlement, Totals, abandoned, day_of, lost, merge
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from tests.contract.conftest import Store
from tests.contract.machines import Run, on_every_store, play
from tests.contract.plain_books import PlainAccount
from tests.support.accounts import key_record, new_lease, new_settlement

Result = TypeVar("Result")
SKEW_S = st.sampled_from([0, 0, 0, -50, 50])
"""How far the clock of one process is from the others'."""
JUMPS_S = st.sampled_from([1, 20, 60, 301, 3600, 11 * 3600 + 59 * 60 + 20, 86_400])


@dataclass(frozen=True)
class Only:
    """These accounts and no others, for a sweep that shall not wake the accounts of other tests."""

    accounts: Accounts
    names: list[str]

    async def ids(self) -> AsyncIterator[str]:
        for name in self.names:
            yield name

    async def read(self, account_id: str) -> Account | None:
        return await self.accounts.read(account_id)


class LedgerMachine(RuleBasedStateMachine):
    """Processes with clocks of their own, one ledger, and the paper beside it."""

    customers = Bundle("customers")
    leases = Bundle("leases")
    settlements = Bundle("settlements")

    def __init__(self, store: Store, run: Run) -> None:
        super().__init__()
        self.store, self.wait = store, run
        self.paper: dict[str, PlainAccount] = {}
        self.stale: dict[str, tuple[str, ...]] = {}
        """What the process that was admitted saw as over; it takes that away when it settles."""

    @property
    def now_s(self) -> float:
        return self.store.clock.now_s()

    @rule(
        target=customers,
        daily=st.sampled_from([None, 100, 250]),
        open_=st.integers(1, 3),
        per_minute=st.integers(1, 4),
    )
    def open_account(self, daily: int | None, open_: int, per_minute: int) -> Any:
        if len(self.paper) == 3:
            return multiple()
        opening = self.store.open(daily_tokens=daily, max_open_requests=open_, requests_per_minute=per_minute)
        customer = self.wait(opening)
        self.paper[customer.account.id] = PlainAccount(customer, daily, open_, per_minute)
        return customer.account.id

    @rule(seconds=JUMPS_S)
    def time_passes(self, seconds: int) -> None:
        self.store.clock.advance(seconds)

    @rule(
        target=leases,
        name=customers,
        reserved=st.integers(1, 120),
        holds_s=st.sampled_from([30, 300]),
        skew_s=SKEW_S,
        right_key=st.sampled_from([True, True, True, False]),
    )
    def admit(self, name: str, reserved: int, holds_s: int, skew_s: int, right_key: bool) -> Any:
        paper = self.paper[name]
        lease = new_lease(paper.customer, reserved_tokens=reserved, admitted_s=self.now_s + skew_s, holds_s=holds_s)
        expected = paper.admit(lease, right_key=right_key)
        assert self._admit(lease, right_key=right_key) == expected
        return lease if expected is None else multiple()

    def _admit(self, lease: Lease, *, right_key: bool) -> str | None:
        key_hash = self.paper[lease.account_id].customer.key.hash if right_key else "0" * 64
        try:
            account = self.wait(self.store.ledger.admit(lease, key_hash=key_hash))
        except AuthenticationFailed:
            return "authentication"
        except GatewayError as error:
            if isinstance(error, DailyQuotaReached):
                self.told_of_quota(lease, again=error.event is None)
            return error.reason
        assert account.open[lease.request_id] == lease
        self.stale.setdefault(lease.request_id, account.stale)
        return None

    def told_of_quota(self, lease: Lease, *, again: bool) -> None:
        assert again == (self.paper[lease.account_id].quota_told == lease.day)

    @rule(lease=leases)
    def admit_again(self, lease: Lease) -> None:
        if lease.request_id in self.paper[lease.account_id].open:
            assert self._admit(lease, right_key=True) is None

    @rule(
        target=settlements,
        lease=leases,
        status=st.sampled_from([("ok", 200), ("partial", 499), ("partial", 500), ("failed", 503)]),
        prompt=st.integers(0, 40),
        completion=st.integers(0, 90),
    )
    def settle(self, lease: Lease, status: Any, prompt: int, completion: int) -> Settlement:
        if status[0] == "failed":
            prompt = completion = 0
        settlement = new_settlement(
            lease,
            status=status[0],
            http_status=status[1],
            prompt=prompt,
            completion=completion,
            cost_nano_usd=prompt + 2 * completion,
            ended_s=self.now_s,
            stale=self.stale[lease.request_id],
        )
        self._settle(settlement)
        return settlement

    @rule(settlement=settlements)
    def settle_again(self, settlement: Settlement) -> None:
        """The outbox delivers what the ledger had taken; DynamoDB may answer as it did the first time."""
        paper = self.paper[settlement.lease.account_id]
        assert settlement.lease.request_id not in paper.open
        try:
            self.wait(self.store.ledger.settle(settlement))
        except LeaseGone:
            return
        assert paper.settled[settlement.lease.request_id] == settlement

    @rule(lease=leases)
    def abandon(self, lease: Lease) -> None:
        self._settle(abandoned(lease, now_s=self.now_s))

    @rule(name=customers)
    def abandon_what_was_never_admitted(self, name: str) -> None:
        self._settle(abandoned(new_lease(self.paper[name].customer), now_s=self.now_s))

    @rule(lease=leases)
    def lose(self, lease: Lease) -> None:
        self._settle(lost(lease, now_s=self.now_s))

    def _settle(self, settlement: Settlement) -> None:
        paper = self.paper[settlement.lease.account_id]
        before = paper.settled.get(settlement.lease.request_id)
        counts = paper.settle(settlement)
        try:
            self.wait(self.store.ledger.settle(settlement))
        except LeaseGone:
            assert not counts
        else:
            assert counts or before == settlement

    @rule()
    def sweep(self) -> None:
        store = self.store
        expected = 0
        for paper in self.paper.values():
            for dead in paper.dead(self.now_s):
                assert paper.settle(lost(dead, now_s=self.now_s))
                expected += 1
        sweep = Sweep(Only(store.accounts, list(self.paper)), Settle(store.ledger, store.outbox), store.clock)
        assert self.wait(sweep()) == expected

    @rule(name=customers, enabled=st.booleans())
    def switch_key(self, name: str, enabled: bool) -> None:
        paper, account = self.paper[name], self._account(name)
        record = key_record(paper.customer.key, enabled=enabled)
        assert self.wait(self.store.accounts.replace_keys(account, {record.id: record}))
        paper.enabled = enabled

    @rule(name=customers, active=st.booleans(), open_=st.integers(1, 3), daily=st.sampled_from([None, 50, 300]))
    def set_limits(self, name: str, active: bool, open_: int, daily: int | None) -> None:
        paper, account = self.paper[name], self._account(name)
        limits = replace(account.limits, max_open_requests=open_, daily_tokens=daily)
        self.wait(self.store.accounts.update(replace(account, limits=limits, active=active)))
        paper.active, paper.max_open, paper.daily_tokens = active, open_, daily

    @rule(name=customers)
    def tell_quota(self, name: str) -> None:
        paper, day = self.paper[name], day_of(self.now_s)
        assert self.wait(self.store.ledger.claim_quota_event(name, day=day)) == (paper.quota_told != day)
        paper.quota_told = day

    def _account(self, name: str) -> Account:
        account = self.wait(self.store.accounts.read(name))
        assert account is not None
        return account

    @invariant()
    def the_paper_agrees(self) -> None:
        for name, paper in self.paper.items():
            account = self._account(name)
            assert dict(account.open) == paper.open
            assert account.tokens_today == paper.tokens_on(self.now_s)
            assert account.requests_this_minute == paper.minutes[int(self.now_s) // 60]

    def teardown(self) -> None:
        for name, paper in self.paper.items():
            assert Counter(map(_row, self.wait(self.store.records(name)))) == paper.records()
            days = self.wait(self.store.accounts.usage_by_day(name, first="00000000", last="99999999"))
            assert {day: breakdown["all", ""] for day, breakdown in days.items()} == paper.totals()
            whole = merge(days.values())
            for dimension in ("key", "model", "endpoint"):
                parts = [totals for (kind, _), totals in whole.items() if kind == dimension]
                assert sum(parts, Totals()) == whole.get(("all", ""), Totals())


def _row(record: dict[str, Any]) -> tuple[Any, ...]:
    names = ("status", "http_status", "prompt_tokens", "completion_tokens", "cost_nano_usd")
    return tuple(record[name] for name in names)


@pytest.mark.timeout(600)
@on_every_store
def test_no_sequence_of_events_makes_the_ledger_disagree_with_the_paper(
    request: pytest.FixtureRequest, where: str, examples: int, steps: int
) -> None:
    play(request, LedgerMachine, where=where, examples=examples, steps=steps)
