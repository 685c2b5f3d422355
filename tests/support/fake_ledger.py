"""The ledger and the accounts in memory, over the same books."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace

from gateway.application.ports import Clock
from gateway.domain.admission import Account, KeyRecord, explain_denial, explain_refusal, is_over
from gateway.domain.errors import LeaseGone, RateLimited
from gateway.domain.jobs import JobEnd
from gateway.domain.usage import (
    Breakdown,
    Dimension,
    Lease,
    Settlement,
    Totals,
    day_of,
    dimensions_of,
    dropped,
    lost,
    totals_of,
)


@dataclass
class Page:
    """One account's page: its settings and keys, what is open, and the counters of its days and minutes."""

    account: Account
    open: dict[str, Lease] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
    quota_told: str | None = None

    def view(self, now_s: float) -> Account:
        """The account at this moment."""
        tokens, requests = f"t{day_of(now_s)}", f"r{int(now_s) // 60}"
        needed = {f"t{lease.day}" for lease in self.open.values()}
        return replace(
            self.account,
            open=dict(self.open),
            tokens_today=self.counters[tokens],
            requests_this_minute=self.counters[requests],
            stale=tuple(sorted(name for name in self.counters.keys() - needed if is_over(name, now_s))),
            quota_told=self.quota_told,
        )


@dataclass
class Books:
    """What the ledger and the accounts share."""

    pages: dict[str, Page] = field(default_factory=dict)
    records: list[Settlement] = field(default_factory=list)
    days: dict[tuple[str, str], dict[tuple[Dimension, str], Totals]] = field(default_factory=dict)
    end_job: Callable[[JobEnd], bool] = lambda _: True
    """Ends a job if it is still the claim's, and tells whether it was."""

    def of(self, account_id: str) -> list[Settlement]:
        """The records of one account."""
        return [record for record in self.records if record.lease.account_id == account_id]


class FakeLedger:
    """Keeps the promises of `ports.Ledger`."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def admit(self, lease: Lease, *, key_hash: str | None) -> Account:
        await asyncio.sleep(0)
        page = self._books.pages.get(lease.account_id)
        now_s = lease.admitted_s
        if page is None:
            raise explain_refusal(None, lease, key_hash=key_hash, now_s=now_s)
        account = page.view(now_s)
        if account.open.get(lease.request_id) == lease:
            return account
        if not _may_start(account, lease, key_hash=key_hash):
            error = explain_refusal(account, lease, key_hash=key_hash, now_s=now_s)
            dead = account.dead_leases(now_s)
            if not dead or not isinstance(error, RateLimited):
                raise error
            for gone in dead:
                self._write(page, lost(gone, now_s=now_s))
            account = page.view(now_s)
            if not _may_start(account, lease, key_hash=key_hash):
                raise explain_refusal(account, lease, key_hash=key_hash, now_s=now_s)
        page.open[lease.request_id] = lease
        page.counters[f"t{lease.day}"] += lease.reserved_tokens
        page.counters[f"r{int(now_s) // 60}"] += 1
        return page.view(now_s)

    async def claim_quota_event(self, account_id: str, *, day: str) -> bool:
        await asyncio.sleep(0)
        page = self._books.pages.get(account_id)
        if page is None or page.quota_told == day:
            return False
        page.quota_told = day
        return True

    async def settle(self, settlement: Settlement) -> None:
        await asyncio.sleep(0)
        page = self._books.pages.get(settlement.lease.account_id)
        if page is None or settlement.lease.request_id not in page.open:
            raise LeaseGone(settlement.lease.request_id)
        if settlement.job is not None and not self._books.end_job(settlement.job):
            settlement = dropped(settlement)
        self._write(page, settlement)

    def _write(self, page: Page, settlement: Settlement) -> None:
        lease = settlement.lease
        del page.open[lease.request_id]
        page.counters[f"t{lease.day}"] += settlement.tokens.total - lease.reserved_tokens
        for name in settlement.stale:
            page.counters.pop(name, None)
        self._books.records.append(settlement)
        day = self._books.days.setdefault((lease.account_id, lease.day), {})
        for place in dimensions_of(lease):
            day[place] = day.get(place, Totals()) + totals_of(settlement)


def _may_start(account: Account, lease: Lease, *, key_hash: str | None) -> bool:
    limits = account.limits
    return (
        explain_denial(account, key_id=lease.key_id, key_hash=key_hash, scope="chat") is None
        and (limits.daily_tokens is None or account.tokens_today < limits.daily_tokens)
        and account.requests_this_minute < limits.requests_per_minute
        and len(account.open) < limits.max_open_requests
    )


class FakeAccounts:
    """Keeps the promises of `ports.Accounts`."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock

    async def read(self, account_id: str) -> Account | None:
        await asyncio.sleep(0)
        page = self._books.pages.get(account_id)
        return page.view(self._clock.now_s()) if page else None

    async def create(self, account: Account) -> None:
        await asyncio.sleep(0)
        page = self._books.pages.setdefault(account.id, Page(account))
        if page.account != account:
            raise ValueError(f"account {account.id} exists")

    async def replace_keys(self, account: Account, keys: Mapping[str, KeyRecord]) -> bool:
        await asyncio.sleep(0)
        page = self._books.pages.get(account.id)
        if page is None:
            return False
        if page.account.keys_version == account.keys_version:
            page.account = replace(page.account, keys=dict(keys), keys_version=account.keys_version + 1)
        return (page.account.keys, page.account.keys_version) == (keys, account.keys_version + 1)

    async def update(self, account: Account) -> None:
        await asyncio.sleep(0)
        page = self._books.pages[account.id]
        page.account = replace(
            page.account,
            name=account.name,
            plan=account.plan,
            active=account.active,
            limits=account.limits,
            hard_cap_tokens=account.hard_cap_tokens,
        )

    async def ids(self) -> AsyncIterator[str]:
        for account_id in list(self._books.pages):
            await asyncio.sleep(0)
            yield account_id

    async def usage_by_day(self, account_id: str, *, first: str, last: str) -> dict[str, Breakdown]:
        await asyncio.sleep(0)
        return {
            day: dict(breakdown)
            for (owner, day), breakdown in self._books.days.items()
            if owner == account_id and first <= day <= last
        }
