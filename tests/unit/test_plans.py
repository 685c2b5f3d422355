"""Plans: walls, caps and what is billed past the day's tokens."""

from __future__ import annotations

from decimal import Decimal

from gateway.catalogue import load_catalogue
from gateway.domain.plans import Plan, limits_of, overage_nano_usd
from hypothesis import given
from hypothesis import strategies as st

FREE = load_catalogue().plans["free"]
PRO = load_catalogue().plans["pro"]
TOKENS = st.integers(0, 10**9)


def test_the_plans_are_those_of_the_contract() -> None:
    assert (FREE.max_keys, FREE.daily_tokens, FREE.overage_usd_per_million) == (1, 30_000, None)
    assert (PRO.max_keys, PRO.daily_tokens, PRO.overage_usd_per_million) == (2, 100_000, Decimal("1.00"))


def test_a_plan_without_overage_has_a_wall_and_one_with_overage_has_none() -> None:
    assert limits_of(FREE).daily_tokens == 30_000
    assert limits_of(PRO).daily_tokens is None
    assert limits_of(PRO).included_tokens == 100_000


@given(st.none() | TOKENS)
def test_a_hard_cap_never_widens_a_wall(cap: int | None) -> None:
    wall = limits_of(FREE, hard_cap_tokens=cap).daily_tokens
    assert wall == (30_000 if cap is None else min(cap, 30_000))
    assert limits_of(PRO, hard_cap_tokens=cap).daily_tokens == cap


@given(TOKENS)
def test_only_tokens_past_the_day_are_billed_at_the_plans_price(tokens: int) -> None:
    assert overage_nano_usd(FREE, tokens_of_day=tokens) == 0
    assert overage_nano_usd(PRO, tokens_of_day=tokens) == max(0, tokens - 100_000) * 1000


def test_a_million_tokens_past_the_day_cost_the_price_of_a_million() -> None:
    plan = Plan(
        id="p",
        max_keys=1,
        daily_tokens=10,
        overage_usd_per_million=Decimal("2.50"),
        max_open_requests=1,
        requests_per_minute=1,
    )
    assert overage_nano_usd(plan, tokens_of_day=1_000_010) == 2_500_000_000
