"""What an account used: today, this week and this month, by key, model and endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.application.ports import Accounts, Clock
from gateway.catalogue import Catalogue
from gateway.domain.admission import Account
from gateway.domain.models import usd_of_nano
from gateway.domain.plans import overage_nano_usd
from gateway.domain.usage import Breakdown, Dimension, Period, Totals, merge, periods_at

_GROUPS: tuple[tuple[str, Dimension], ...] = (("keys", "key"), ("models", "model"), ("endpoints", "endpoint"))


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Makes the report of GET /v1/usage from the daily totals."""

    accounts: Accounts
    catalogue: Catalogue
    clock: Clock

    async def of(self, account: Account) -> dict[str, Any]:
        """The report; periods are in UTC, the week begins on Monday. `billed` is what the plan charges past its day."""
        now_s = self.clock.now_s()
        periods = periods_at(now_s)
        first = min(period.first for period in periods).strftime("%Y%m%d")
        days = await self.accounts.usage_by_day(account.id, first=first, last=periods[0].last.strftime("%Y%m%d"))
        limits = account.limits
        return {
            "object": "usage",
            "account": account.id,
            "plan": account.plan,
            "limits": {
                "tokens_per_day": limits.daily_tokens,
                "included_tokens_per_day": limits.included_tokens,
                "requests_per_minute": limits.requests_per_minute,
                "open_requests": limits.max_open_requests,
            },
            "open_requests": len(account.open),
            "reserved_tokens": account.reserved_tokens,
            **{period.name: self._period(account, period, days) for period in periods},
        }

    def _period(self, account: Account, period: Period, days: dict[str, Breakdown]) -> dict[str, Any]:
        plan = self.catalogue.plans[account.plan]
        inside = {day: breakdown for day, breakdown in days.items() if period.has(day)}
        merged = merge(inside.values())
        whole: tuple[Dimension, str] = ("all", "")
        billed = sum(
            overage_nano_usd(plan, tokens_of_day=breakdown.get(whole, Totals()).total_tokens)
            for breakdown in inside.values()
        )
        report = _totals(merged.get(whole, Totals()))
        report["billed"] = usd_of_nano(billed)
        report["from"], report["to"] = period.first.isoformat(), period.last.isoformat()
        for group, dimension in _GROUPS:
            report[group] = {
                value: _totals(totals) for (kind, value), totals in sorted(merged.items()) if kind == dimension
            }
        return report


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "requests": totals.requests,
        "errors": totals.errors,
        "error_rate": round(totals.error_rate, 4),
        "prompt_tokens": totals.prompt_tokens,
        "completion_tokens": totals.completion_tokens,
        "total_tokens": totals.total_tokens,
        "cost": usd_of_nano(totals.cost_nano_usd),
    }
