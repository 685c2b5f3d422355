"""Admission's pure part: why a write was refused, and the headers that tell the limits."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from gateway.domain.admission import (
    OPEN_RETRY_S,
    RESERVED_RETRY_S,
    Account,
    estimate_prompt_tokens,
    explain_denial,
    explain_refusal,
    rate_limit_headers,
)
from gateway.domain.errors import AuthenticationFailed, GatewayError, RateLimited
from gateway.domain.usage import seconds_to_midnight
from hypothesis import given
from hypothesis import strategies as st

from tests.support.accounts import CHAT_ONLY, Customer, new_customer, new_lease
from tests.support.clock import NOON_S

CUSTOMER = new_customer()
TIMES = st.floats(0, 4_102_444_800)


def refusal(account: Account | None, *, customer: Customer = CUSTOMER, now_s: float = NOON_S) -> GatewayError:
    return explain_refusal(account, new_lease(customer), key_hash=customer.key.hash, now_s=now_s)


def test_every_bad_key_is_told_the_same() -> None:
    account = CUSTOMER.account
    disabled = {id_: replace(key, enabled=False) for id_, key in account.keys.items()}
    errors = [
        refusal(None),
        refusal(replace(account, keys={})),
        refusal(replace(account, keys=disabled)),
        refusal(account, customer=replace(CUSTOMER, key=replace(CUSTOMER.key, hash="0" * 64))),
    ]
    assert {type(error) for error in errors} == {AuthenticationFailed}
    assert len({str(error.body()) for error in errors}) == 1
    assert all(error.headers == {"WWW-Authenticate": "Bearer"} for error in errors)


def test_a_bad_key_of_a_suspended_account_learns_nothing_of_the_suspension() -> None:
    suspended = replace(CUSTOMER.account, active=False)
    denial = explain_denial(suspended, key_id=CUSTOMER.key.key_id, key_hash="0" * 64, scope=None)
    assert isinstance(denial, AuthenticationFailed)


def test_a_good_key_of_a_suspended_account_is_told_so() -> None:
    error = refusal(replace(CUSTOMER.account, active=False))
    assert (error.status, error.reason) == (403, "account_suspended")


def test_a_key_without_the_scope_is_told_which_one_is_missing() -> None:
    customer = new_customer(scopes=CHAT_ONLY)
    key = customer.key
    denial = explain_denial(customer.account, key_id=key.key_id, key_hash=key.hash, scope="admin")
    assert denial is not None
    assert (denial.status, denial.reason) == (403, "missing_scope")
    assert "'admin'" in denial.message
    assert explain_denial(customer.account, key_id=key.key_id, key_hash=key.hash, scope="chat") is None
    assert explain_denial(customer.account, key_id=key.key_id, key_hash=key.hash, scope=None) is None


@given(used=st.integers(1000, 5000), now_s=TIMES)
def test_a_used_up_day_may_be_retried_when_the_next_begins(used: int, now_s: float) -> None:
    error = refusal(replace(CUSTOMER.account, tokens_today=used), now_s=now_s)
    assert isinstance(error, RateLimited)
    assert (error.reason, error.retry_after_s) == ("daily_quota_exceeded", seconds_to_midnight(now_s))
    assert error.headers["x-ratelimit-remaining-tokens"] == "0"


@given(used=st.integers(0, 999), reserved=st.integers(1, 5000))
def test_tokens_that_are_only_reserved_may_be_retried_in_seconds(used: int, reserved: int) -> None:
    lease = new_lease(CUSTOMER, reserved_tokens=max(reserved, 1000 - used))
    account = replace(CUSTOMER.account, tokens_today=used + lease.reserved_tokens, open={lease.request_id: lease})
    error = refusal(account)
    assert (error.reason, error.retry_after_s) == ("tokens_reserved", RESERVED_RETRY_S)


@given(TIMES)
def test_a_full_minute_may_be_retried_when_the_next_begins(now_s: float) -> None:
    error = refusal(replace(CUSTOMER.account, requests_this_minute=20), now_s=now_s)
    assert error.reason == "requests_per_minute_exceeded"
    assert error.retry_after_s is not None
    assert 1 <= error.retry_after_s <= 60
    assert (int(now_s) + error.retry_after_s) % 60 == 0
    assert error.headers["x-ratelimit-remaining-requests"] == "0"


def test_too_many_open_requests_say_how_many_are_open_and_allowed() -> None:
    leases = [new_lease(CUSTOMER, reserved_tokens=1) for _ in range(4)]
    error = refusal(replace(CUSTOMER.account, open={lease.request_id: lease for lease in leases}))
    assert (error.reason, error.retry_after_s) == ("too_many_open_requests", OPEN_RETRY_S)
    assert error.message == "4 requests are open; the limit is 4 at once."


def test_an_account_without_a_wall_is_never_told_that_its_day_is_over() -> None:
    customer = new_customer(daily_tokens=None)
    error = refusal(replace(customer.account, tokens_today=10**9, requests_this_minute=20), customer=customer)
    assert error.reason == "requests_per_minute_exceeded"


@given(tokens=st.integers(0, 3000), requests=st.integers(0, 60), wall=st.none() | st.integers(0, 2000), now_s=TIMES)
def test_headers_never_tell_less_than_nothing_and_their_resets_are_durations(
    tokens: int, requests: int, wall: int | None, now_s: float
) -> None:
    customer = new_customer(daily_tokens=wall, included_tokens=1000)
    account = replace(customer.account, tokens_today=tokens, requests_this_minute=requests)
    headers = rate_limit_headers(account, now_s=now_s)
    limit = 1000 if wall is None else wall
    assert headers["x-ratelimit-limit-tokens"] == str(limit)
    assert headers["x-ratelimit-remaining-tokens"] == str(max(0, limit - tokens))
    assert headers["x-ratelimit-limit-requests"] == "20"
    assert headers["x-ratelimit-remaining-requests"] == str(max(0, 20 - requests))
    assert seconds_of(headers["x-ratelimit-reset-tokens"]) == seconds_to_midnight(now_s)
    assert seconds_of(headers["x-ratelimit-reset-requests"]) == 60 - int(now_s) % 60


def seconds_of(duration: str) -> int:
    """A duration as OpenAI's clients read it: `1h2m3s`, no part larger than it may be."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d{1,2})m)?(\d{1,2})s", duration)
    assert match is not None, duration
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    assert minutes < 60
    assert seconds < 60
    return hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    ("now_s", "reset"), [(NOON_S, "12h0m0s"), (NOON_S + 11 * 3600, "1h0m0s"), (NOON_S + 12 * 3600 - 61, "1m1s")]
)
def test_a_duration_names_only_the_units_it_needs(now_s: float, reset: str) -> None:
    assert rate_limit_headers(CUSTOMER.account, now_s=now_s)["x-ratelimit-reset-tokens"] == reset


def test_a_lease_is_dead_at_its_deadline_and_not_before() -> None:
    lease = new_lease(CUSTOMER, holds_s=10)
    account = replace(CUSTOMER.account, open={lease.request_id: lease})
    assert account.dead_leases(lease.deadline_s - 0.001) == []
    assert account.dead_leases(lease.deadline_s) == [lease]


@given(st.integers(0, 10**6), st.integers(1, 100))
def test_a_prompts_estimate_is_a_third_of_its_bytes_and_something_for_each_message(size: int, messages: int) -> None:
    assert estimate_prompt_tokens(size, messages=messages) * 3 >= size
    assert estimate_prompt_tokens(size, messages=messages) <= size // 3 + 1 + 8 * messages + 8
