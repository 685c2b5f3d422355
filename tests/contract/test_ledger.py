"""The promises of `ports.Ledger`: who may run, and exactly one settlement for each that ran."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from gateway.application.settling import Settle
from gateway.domain.errors import AuthenticationFailed, GatewayError, LeaseGone, PermissionDenied, RateLimited
from gateway.domain.usage import Lease, Totals, lost, merge, totals_of

from tests.contract.conftest import Store
from tests.support.accounts import Customer, new_customer, new_key, new_lease, new_settlement
from tests.support.clock import NOON_S

pytestmark = pytest.mark.anyio


async def admit(store: Store, customer: Customer, **changes: Any) -> Lease:
    lease = new_lease(customer, **changes)
    await store.ledger.admit(lease, key_hash=customer.key.hash)
    return lease


async def refusal(store: Store, customer: Customer, **changes: Any) -> GatewayError:
    before = await store.counters(customer.account.id)
    with pytest.raises(GatewayError) as caught:
        await admit(store, customer, **changes)
    assert await store.counters(customer.account.id) == before, "a refusal reserves nothing"
    return caught.value


async def test_admission_reserves_and_returns_the_account_with_the_lease_in_it(store: Store) -> None:
    customer = await store.open()
    lease = new_lease(customer, reserved_tokens=300)
    account = await store.ledger.admit(lease, key_hash=customer.key.hash)
    assert dict(account.open) == {lease.request_id: lease}
    assert (account.tokens_today, account.requests_this_minute, account.reserved_tokens) == (300, 1, 300)
    assert account == await store.account(customer)


async def test_the_same_lease_admitted_again_changes_nothing_and_returns_the_account(store: Store) -> None:
    customer = await store.open()
    lease = new_lease(customer)
    first = await store.ledger.admit(lease, key_hash=customer.key.hash)
    assert await store.ledger.admit(lease, key_hash=customer.key.hash) == first


async def test_an_unknown_account_is_refused_as_a_bad_key(store: Store) -> None:
    with pytest.raises(AuthenticationFailed):
        await admit(store, new_customer())


async def test_an_unknown_key_a_wrong_secret_and_a_disabled_key_are_refused_alike(store: Store) -> None:
    customer, disabled = await store.open(), await store.open(enabled=False)
    other_text, other = new_key(customer.account.id)
    assert other_text != customer.key_text
    wrong = replace(customer.key, hash="0" * 64)
    errors = [
        await refusal(store, replace(customer, key=other)),
        await refusal(store, replace(customer, key=wrong)),
        await refusal(store, disabled),
    ]
    assert {(type(error), error.message) for error in errors} == {
        (AuthenticationFailed, AuthenticationFailed().message)
    }


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"active": False}, "account_suspended"), ({"scopes": frozenset({"admin"})}, "missing_scope")],
)
async def test_a_key_that_may_not_is_denied(store: Store, settings: dict[str, Any], reason: str) -> None:
    error = await refusal(store, await store.open(**settings))
    assert isinstance(error, PermissionDenied)
    assert error.reason == reason


async def test_a_trusted_source_needs_no_key_and_an_active_account(store: Store) -> None:
    customer, suspended = await store.open(), await store.open(active=False)
    lease = new_lease(customer)
    account = await store.ledger.admit(lease, key_hash=None)
    assert account.open[lease.request_id] == lease
    with pytest.raises(PermissionDenied):
        await store.ledger.admit(new_lease(suspended), key_hash=None)


async def test_a_day_of_which_anything_is_left_admits_once_more_and_then_waits_for_what_is_reserved(
    store: Store,
) -> None:
    customer = await store.open(daily_tokens=1000)
    first = await admit(store, customer, reserved_tokens=999)
    await admit(store, customer, reserved_tokens=500)
    error = await refusal(store, customer)
    assert (error.status, error.reason, error.retry_after_s) == (429, "tokens_reserved", 2)
    assert error.headers["x-ratelimit-remaining-tokens"] == "0"
    await store.ledger.settle(new_settlement(first, prompt=1, completion=1))
    await admit(store, customer)


async def test_a_used_up_day_is_refused_until_midnight(store: Store) -> None:
    customer = await store.open(daily_tokens=1000)
    lease = await admit(store, customer, reserved_tokens=900)
    await store.ledger.settle(new_settlement(lease, prompt=400, completion=600))
    error = await refusal(store, customer, admitted_s=NOON_S + 60)
    assert (error.reason, error.retry_after_s) == ("daily_quota_exceeded", 12 * 3600 - 60)
    assert error.headers["x-ratelimit-limit-tokens"] == "1000"
    await admit(store, customer, admitted_s=NOON_S + 12 * 3600)


async def test_one_caller_a_day_is_the_one_to_tell_that_it_is_used_up(store: Store) -> None:
    customer = await store.open()
    id_ = customer.account.id
    claimed = await asyncio.gather(*(store.ledger.claim_quota_event(id_, day="20261123") for _ in range(6)))
    assert sorted(claimed) == [False] * 5 + [True]
    assert (await store.account(customer)).quota_told == "20261123"
    assert await store.ledger.claim_quota_event(id_, day="20261124")
    assert not await store.ledger.claim_quota_event("nobody000000", day="20261123")
    assert await store.accounts.read("nobody000000") is None


async def test_an_account_without_a_wall_is_admitted_past_its_included_tokens(store: Store) -> None:
    customer = await store.open(daily_tokens=None, included_tokens=10)
    for _ in range(3):
        await admit(store, customer, reserved_tokens=1000)
    assert (await store.account(customer)).tokens_today == 3000


async def test_requests_over_the_minute_are_refused_until_the_next_one_begins(store: Store) -> None:
    customer = await store.open(requests_per_minute=2)
    for _ in range(2):
        await store.ledger.settle(new_settlement(await admit(store, customer, admitted_s=NOON_S + 10)))
    error = await refusal(store, customer, admitted_s=NOON_S + 45)
    assert (error.reason, error.retry_after_s) == ("requests_per_minute_exceeded", 15)
    assert error.headers["x-ratelimit-remaining-requests"] == "0"
    assert error.headers["x-ratelimit-reset-requests"] == "15s"
    await admit(store, customer, admitted_s=NOON_S + 60)


async def test_more_open_requests_than_the_plan_has_are_refused_until_one_ends(store: Store) -> None:
    customer = await store.open(max_open_requests=2)
    first, _ = [await admit(store, customer, reserved_tokens=10) for _ in range(2)]
    error = await refusal(store, customer, reserved_tokens=10)
    assert (error.reason, error.retry_after_s) == ("too_many_open_requests", 1)
    await store.ledger.settle(new_settlement(first))
    await admit(store, customer, reserved_tokens=10)


@pytest.mark.parametrize("settings", [{"max_open_requests": 1}, {"daily_tokens": 100}])
async def test_a_dead_lease_in_the_way_is_settled_as_lost_and_gives_its_quota_back(
    store: Store, settings: dict[str, Any]
) -> None:
    customer = await store.open(**settings)
    await admit(store, customer, reserved_tokens=100, holds_s=60)
    await refusal(store, customer, admitted_s=NOON_S + 59)
    lease = await admit(store, customer, admitted_s=NOON_S + 60)
    account = await store.account(customer)
    assert list(account.open) == [lease.request_id]
    assert account.tokens_today == lease.reserved_tokens
    (record,) = await store.records(customer.account.id)
    assert (record["status"], record["prompt_tokens"], record["cost_nano_usd"]) == ("lost", 0, 0)


async def test_a_dead_lease_does_not_help_a_bad_key(store: Store) -> None:
    customer = await store.open(max_open_requests=1)
    await admit(store, customer, holds_s=1)
    with pytest.raises(AuthenticationFailed):
        await store.ledger.admit(new_lease(customer, admitted_s=NOON_S + 9), key_hash="0" * 64)
    assert await store.records(customer.account.id) == []


@pytest.mark.parametrize(("prompt", "completion"), [(10, 20), (60, 40), (0, 0), (100, 400)])
async def test_settlement_ends_the_lease_and_leaves_what_was_used(store: Store, prompt: int, completion: int) -> None:
    customer = await store.open()
    lease = await admit(store, customer, reserved_tokens=100)
    await store.ledger.settle(new_settlement(lease, prompt=prompt, completion=completion, cost_nano_usd=7))
    account = await store.account(customer)
    assert dict(account.open) == {}
    assert account.tokens_today == prompt + completion
    assert account.requests_this_minute == 1
    assert await store.records(customer.account.id) == [
        {
            "status": "ok",
            "http_status": 200,
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "cost_nano_usd": 7,
        }
    ]


async def test_a_second_settlement_of_a_request_bills_nothing(store: Store) -> None:
    customer = await store.open()
    lease = await admit(store, customer)
    settlement = new_settlement(lease)
    await store.ledger.settle(settlement)
    before = await everything(store, customer)
    with suppress(LeaseGone):  # for ten minutes DynamoDB answers the very same transaction as it did before
        await store.ledger.settle(settlement)
    for again in (replace(settlement, status="partial"), lost(lease, now_s=NOON_S + 999)):
        with pytest.raises(LeaseGone):
            await store.ledger.settle(again)
    assert await everything(store, customer) == before


async def test_the_settlement_of_a_lease_that_never_was_bills_nothing(store: Store) -> None:
    customer = await store.open()
    before = await everything(store, customer)
    with pytest.raises(LeaseGone):
        await store.ledger.settle(new_settlement(new_lease(customer)))
    assert await everything(store, customer) == before


async def test_of_many_settlements_at_once_one_is_written(store: Store) -> None:
    customer = await store.open()
    lease = await admit(store, customer)
    settlements = [new_settlement(lease, completion=number) for number in range(1, 9)]
    results = await asyncio.gather(*map(store.ledger.settle, settlements), return_exceptions=True)
    assert Counter(type(result) for result in results) == {type(None): 1, LeaseGone: 7}
    (record,) = await store.records(customer.account.id)
    assert (await store.account(customer)).tokens_today == 10 + record["completion_tokens"]


async def everything(store: Store, customer: Customer) -> list[Any]:
    """All that a settlement could change."""
    id_ = customer.account.id
    return [
        await store.account(customer),
        await store.counters(id_),
        await store.records(id_),
        await store.accounts.usage_by_day(id_, first="20000101", last="29991231"),
    ]


async def test_a_request_that_runs_past_midnight_uses_the_day_it_was_admitted_in(store: Store) -> None:
    customer = await store.open()
    late = NOON_S + 12 * 3600 - 10
    lease = await admit(store, customer, admitted_s=late, reserved_tokens=500)
    store.clock.advance(12 * 3600 + 60)
    other = new_lease(customer, admitted_s=late + 60, reserved_tokens=50)
    account = await store.ledger.admit(other, key_hash=customer.key.hash)
    assert account.tokens_today == 50
    assert "t20261123" not in account.stale, "its counter is still needed"
    await store.ledger.settle(new_settlement(other, stale=account.stale))
    await store.ledger.settle(new_settlement(lease, prompt=1, completion=2, ended_s=late + 100))
    counters = await store.counters(customer.account.id)
    assert (counters["t20261123"], counters["t20261124"]) == (3, 30)
    days = await store.accounts.usage_by_day(customer.account.id, first="20261123", last="20261124")
    assert {day: breakdown["all", ""].total_tokens for day, breakdown in days.items()} == {
        "20261123": 3,
        "20261124": 30,
    }


async def test_counters_of_days_and_minutes_gone_by_are_removed_at_settlement(store: Store) -> None:
    customer = await store.open()
    await store.ledger.settle(new_settlement(await admit(store, customer)))
    lease = new_lease(customer, admitted_s=NOON_S + 2 * 86_400)
    account = await store.ledger.admit(lease, key_hash=customer.key.hash)
    assert account.stale == (f"r{NOON_S // 60}", "t20261123")
    await store.ledger.settle(new_settlement(lease, stale=account.stale))
    assert sorted(await store.counters(customer.account.id)) == [f"r{NOON_S // 60 + 2880}", "t20261125"]


@pytest.mark.parametrize(
    ("wrong_by_s", "keeps"), [(86_400, {"t"}), (59, {"t", "r"}), (-59, {"t", "r"}), (-86_400, {"t", "r"})]
)
async def test_a_process_whose_clock_is_wrong_takes_no_counter_from_the_others(
    store: Store, wrong_by_s: int, keeps: set[str]
) -> None:
    customer = await store.open(max_open_requests=9)
    await store.ledger.settle(new_settlement(await admit(store, customer), prompt=600, completion=0))
    before = await store.counters(customer.account.id)
    lease = new_lease(customer, admitted_s=NOON_S + wrong_by_s)
    account = await store.ledger.admit(lease, key_hash=customer.key.hash)
    await store.ledger.settle(lost(lease, now_s=NOON_S))
    await store.ledger.settle(new_settlement(await admit(store, customer), prompt=1, completion=0, stale=account.stale))
    after = await store.counters(customer.account.id)
    assert {name[0] for name in before.keys() & after.keys()} == keeps
    assert after["t20261123"] == 601


async def test_the_totals_of_a_day_are_the_sum_of_its_records(store: Store) -> None:
    customer = await store.open(max_open_requests=99, requests_per_minute=99, daily_tokens=None)
    settlements = []
    for number in range(12):
        lease = await admit(
            store, customer, model=f"model/{number % 2}", endpoint=f"/v1/{number % 3}", reserved_tokens=10
        )
        http_status = 500 if number % 4 == 0 else 200
        settlements.append(new_settlement(lease, completion=number, cost_nano_usd=number, http_status=http_status))
    for settlement in settlements:
        await store.ledger.settle(settlement)
    days = await store.accounts.usage_by_day(customer.account.id, first="20261123", last="20261123")
    assert days == {
        "20261123": merge(
            {
                ("all", ""): totals_of(settlement),
                ("key", customer.key.key_id): totals_of(settlement),
                ("model", settlement.lease.model): totals_of(settlement),
                ("endpoint", settlement.lease.endpoint): totals_of(settlement),
            }
            for settlement in settlements
        )
    }
    records = await store.records(customer.account.id)
    assert days["20261123"]["all", ""] == Totals(
        requests=len(records),
        errors=sum(record["http_status"] >= 400 for record in records),
        prompt_tokens=sum(record["prompt_tokens"] for record in records),
        completion_tokens=sum(record["completion_tokens"] for record in records),
        cost_nano_usd=sum(record["cost_nano_usd"] for record in records),
    )


async def test_two_hundred_at_once_never_run_more_than_one_over_the_day(store: Store) -> None:
    customer = await store.open(daily_tokens=1000, max_open_requests=500, requests_per_minute=500)
    results = await asyncio.gather(
        *(admit(store, customer, reserved_tokens=70) for _ in range(200)), return_exceptions=True
    )
    admitted = [result for result in results if isinstance(result, Lease)]
    refused = [result for result in results if isinstance(result, RateLimited)]
    assert len(admitted) == 15, "fourteen fit, one more ends over the wall"
    assert len(refused) == 185
    assert (await store.account(customer)).tokens_today == 15 * 70


async def test_many_at_once_never_open_more_than_the_plan_has(store: Store) -> None:
    customer = await store.open(max_open_requests=5, requests_per_minute=500, daily_tokens=None)
    results = await asyncio.gather(*(admit(store, customer) for _ in range(40)), return_exceptions=True)
    assert sum(isinstance(result, Lease) for result in results) == 5


async def test_admissions_and_settlements_side_by_side_lose_nothing(store: Store) -> None:
    customer = await store.open(max_open_requests=99, requests_per_minute=99, daily_tokens=None)

    async def one(number: int) -> None:
        lease = await admit(store, customer, reserved_tokens=100)
        # as the product settles: a repeat of a write whose answer was late finds the lease gone, and that is well
        await Settle(store.ledger, store.outbox)(new_settlement(lease, prompt=1, completion=number))

    await asyncio.gather(*(one(number) for number in range(30)))
    account = await store.account(customer)
    assert dict(account.open) == {}
    assert account.tokens_today == 30 + sum(range(30))
    assert len(await store.records(customer.account.id)) == 30
