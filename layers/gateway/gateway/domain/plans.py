"""Plans: what an account may use, and what it pays past that. The plans are data (`catalogue/plans.toml`)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The limits of a plan.

    `daily_tokens` are per UTC day. Past them a plan with `overage_usd_per_million` bills on, one without refuses.
    """

    id: str
    max_keys: int
    daily_tokens: int
    overage_usd_per_million: Decimal | None
    max_open_requests: int
    requests_per_minute: int

    @property
    def refuses_past_daily_tokens(self) -> bool:
        """Whether the day's tokens are a wall (free) or only what the price includes (pro)."""
        return self.overage_usd_per_million is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits in force for one account: its plan's, with what the operator or the owner set for it.

    `included_tokens` a day are what the plan's price holds; `daily_tokens` is the wall, None where the account is
    billed on without one.
    """

    included_tokens: int
    daily_tokens: int | None
    max_open_requests: int
    requests_per_minute: int


def limits_of(plan: Plan, *, hard_cap_tokens: int | None = None) -> Limits:
    """The limits an account of this plan starts with; a hard cap (tokens a day) is never wider than the plan's wall."""
    walls = [hard_cap_tokens, plan.daily_tokens if plan.refuses_past_daily_tokens else None]
    return Limits(
        included_tokens=plan.daily_tokens,
        daily_tokens=min((wall for wall in walls if wall is not None), default=None),
        max_open_requests=plan.max_open_requests,
        requests_per_minute=plan.requests_per_minute,
    )


def overage_nano_usd(plan: Plan, *, tokens_of_day: int) -> int:
    """What a day's tokens past the plan's cost, in 10⁻⁹ USD."""
    if plan.overage_usd_per_million is None:
        return 0
    return int(max(0, tokens_of_day - plan.daily_tokens) * plan.overage_usd_per_million * 1000)
