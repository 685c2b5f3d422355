"""Usage: days, periods, totals and what a settlement adds to them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from gateway.domain.usage import (
    CLIENT_GONE,
    Breakdown,
    Tokens,
    Totals,
    day_of,
    lost,
    merge,
    periods_at,
    seconds_to_midnight,
    totals_of,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.support.accounts import new_customer, new_lease, new_settlement

TIMES = st.integers(0, 4_102_444_800).map(float)
COUNTS = st.integers(0, 10**6)
TOTALS = st.builds(Totals, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
BREAKDOWNS = st.dictionaries(
    st.tuples(st.sampled_from(["all", "key", "model"]), st.sampled_from(["", "a", "b/c"])), TOTALS
)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@given(TIMES, st.floats(0, 0.999))
def test_the_quota_is_fresh_exactly_after_the_seconds_to_midnight(time_s: float, fraction: float) -> None:
    seconds = seconds_to_midnight(time_s + fraction)
    assert 1 <= seconds <= 86_400
    assert day_of(time_s + seconds) > day_of(time_s)
    assert day_of(time_s + seconds - 1) == day_of(time_s)


def test_the_lease_of_a_request_past_midnight_belongs_to_the_day_it_was_admitted_in() -> None:
    lease = new_lease(new_customer(), admitted_s=at("2026-11-23T23:59:59"), holds_s=300)
    assert lease.day == "20261123"


def test_periods_begin_today_on_monday_and_on_the_first() -> None:
    today, week, month = periods_at(at("2026-12-02T00:00:00"))
    assert (today.first.isoformat(), today.last.isoformat()) == ("2026-12-02", "2026-12-02")
    assert (week.first.isoformat(), month.first.isoformat()) == ("2026-11-30", "2026-12-01")
    assert week.has("20261130")
    assert not month.has("20261130")
    assert not today.has("20261201")
    assert not month.has("20261203")


@given(TIMES)
def test_every_period_ends_today_and_holds_it(time_s: float) -> None:
    assert all(period.has(day_of(time_s)) and period.first <= period.last for period in periods_at(time_s))


@given(st.lists(BREAKDOWNS))
def test_merged_days_are_the_sum_of_the_days_at_every_place(days: list[Breakdown]) -> None:
    merged = merge(days)
    assert merged.keys() == {place for day in days for place in day}
    for place, totals in merged.items():
        assert totals.total_tokens == sum(day[place].total_tokens for day in days if place in day)
        assert totals.requests == sum(day[place].requests for day in days if place in day)


@pytest.mark.parametrize(
    ("http_status", "errors"), [(200, 0), (CLIENT_GONE, 0), (400, 1), (429, 1), (500, 1), (503, 1), (504, 1)]
)
def test_only_an_error_status_counts_as_an_error_and_a_gone_client_does_not(http_status: int, errors: int) -> None:
    settlement = new_settlement(new_lease(new_customer()), http_status=http_status)
    assert totals_of(settlement).errors == errors


def test_a_lost_lease_charges_nothing() -> None:
    settlement = lost(new_lease(new_customer(), reserved_tokens=500), now_s=10.5)
    assert (settlement.status, settlement.tokens, settlement.cost_nano_usd) == ("lost", Tokens(), 0)
    assert totals_of(settlement) == Totals(requests=1, errors=1)


def test_the_error_rate_of_nothing_is_zero() -> None:
    assert Totals().error_rate == 0
    assert Totals(requests=4, errors=1).error_rate == 0.25


def test_speed_is_told_only_over_a_span_of_time() -> None:
    settlement = new_settlement(new_lease(new_customer()), completion=19)
    assert settlement.tokens_per_s == pytest.approx(10)
    assert lost(settlement.lease, now_s=0).tokens_per_s is None


def test_tokens_add_by_kind() -> None:
    assert Tokens(1, 2) + Tokens(10, 20) == Tokens(11, 22)
    assert Tokens(1, 2).total == 3
