"""The ledger as a bookkeeper would keep it on paper: what `ports.Ledger` and `ports.Accounts` must agree with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from gateway.domain.usage import CLIENT_GONE, Lease, Settlement, Totals, day_of, lost

from tests.support.accounts import Customer


@dataclass
class PlainAccount:
    """One customer: settings, who runs, what was used. Counters of days count what is used and what is reserved."""

    customer: Customer
    daily_tokens: int | None
    max_open: int
    per_minute: int
    active: bool = True
    enabled: bool = True
    open: dict[str, Lease] = field(default_factory=dict)
    tokens: Counter[str] = field(default_factory=Counter)
    minutes: Counter[int] = field(default_factory=Counter)
    settled: dict[str, Settlement] = field(default_factory=dict)
    quota_told: str | None = None

    def refusal(self, lease: Lease, *, right_key: bool) -> str | None:
        """The reason for which this lease is refused as things stand, None where it is admitted."""
        used, running = self.tokens[lease.day], sum(other.reserved_tokens for other in self.open.values())
        if not right_key or not self.enabled:
            return "authentication"
        if not self.active:
            return "account_suspended"
        if self.daily_tokens is not None and used >= self.daily_tokens:
            return "daily_quota_exceeded" if used - running >= self.daily_tokens else "tokens_reserved"
        if self.minutes[lease.admitted_s // 60] >= self.per_minute:
            return "requests_per_minute_exceeded"
        return "too_many_open_requests" if len(self.open) >= self.max_open else None

    def admit(self, lease: Lease, *, right_key: bool) -> str | None:
        """As `refusal`; where it is none, the lease runs. The dead are cleared out of the way of what has room then."""
        reason = self.refusal(lease, right_key=right_key)
        if reason not in (None, "authentication", "account_suspended"):
            for dead in self.dead(lease.admitted_s):
                self.end(dead.request_id, tokens=0)
                self.settled[dead.request_id] = lost(dead, now_s=lease.admitted_s)
            reason = self.refusal(lease, right_key=right_key)
        if reason is None:
            self.open[lease.request_id] = lease
            self.tokens[lease.day] += lease.reserved_tokens
            self.minutes[lease.admitted_s // 60] += 1
        return reason

    def settle(self, settlement: Settlement) -> bool:
        """Whether this settlement is the one that counts."""
        if settlement.lease.request_id not in self.open:
            return False
        self.end(settlement.lease.request_id, tokens=settlement.tokens.total)
        self.settled[settlement.lease.request_id] = settlement
        return True

    def end(self, request_id: str, *, tokens: int) -> None:
        lease = self.open.pop(request_id)
        self.tokens[lease.day] += tokens - lease.reserved_tokens

    def dead(self, now_s: float) -> list[Lease]:
        return [lease for lease in self.open.values() if lease.deadline_s <= now_s]

    def records(self) -> Counter[tuple[str, int, int, int, int]]:
        """What each record says."""
        return Counter(
            (each.status, each.http_status, each.tokens.prompt, each.tokens.completion, each.cost_nano_usd)
            for each in self.settled.values()
        )

    def totals(self) -> dict[str, Totals]:
        """The sum of the records of each day."""
        sums: dict[str, Totals] = {}
        for each in self.settled.values():
            bad = each.http_status >= 400 and each.http_status != CLIENT_GONE
            one = Totals(1, int(bad), each.tokens.prompt, each.tokens.completion, each.cost_nano_usd)
            sums[each.lease.day] = sums.get(each.lease.day, Totals()) + one
        return sums

    def tokens_on(self, time_s: float) -> int:
        return self.tokens[day_of(time_s)]
