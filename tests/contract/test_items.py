"""Accounts and leases as items of the table: what is written is what is read."""

from __future__ import annotations

from typing import Any

import pytest
from gateway.adapters.aws.items import (
    account_key,
    account_of,
    lease_value,
    new_account_item,
    number,
    requests_attribute,
    settings_of,
    tokens_attribute,
)
from gateway.domain.admission import Account, KeyRecord
from gateway.domain.plans import Limits
from gateway.domain.usage import Lease
from hypothesis import given
from hypothesis import strategies as st

from tests.support.accounts import new_customer, new_lease
from tests.support.clock import NOON_S

COUNTS = st.integers(0, 10**12)
NAMES = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.builds(
    KeyRecord,
    id=st.text("abc019", min_size=8, max_size=8),
    hash=st.text("0123456789abcdef", min_size=64, max_size=64),
    name=NAMES,
    enabled=st.booleans(),
    scopes=st.frozensets(st.sampled_from(["chat", "admin"])),
    created_s=COUNTS,
)
ACCOUNTS = st.builds(
    Account,
    id=st.text("abc019", min_size=12, max_size=12),
    name=NAMES,
    plan=st.sampled_from(["free", "pro"]),
    active=st.booleans(),
    created_s=COUNTS,
    limits=st.builds(
        Limits,
        included_tokens=COUNTS,
        daily_tokens=st.none() | COUNTS,
        max_open_requests=COUNTS,
        requests_per_minute=COUNTS,
    ),
    hard_cap_tokens=st.none() | COUNTS,
    keys=st.lists(KEYS, unique_by=lambda key: key.id, max_size=3).map(lambda keys: {key.id: key for key in keys}),
    keys_version=COUNTS,
    open=st.just({}),
    tokens_today=st.just(0),
    requests_this_minute=st.just(0),
)
A_CUSTOMER = new_customer()
LEASES = st.builds(
    new_lease,
    st.just(A_CUSTOMER),
    reserved_tokens=COUNTS,
    admitted_s=st.integers(0, 4_102_444_800),
    model=NAMES,
    endpoint=NAMES,
)


@given(ACCOUNTS)
def test_a_new_account_reads_as_it_was_written(account: Account) -> None:
    assert account_of(new_account_item(account), now_s=NOON_S) == account


@given(st.lists(LEASES, max_size=3))
def test_leases_read_as_they_were_written(leases: list[Lease]) -> None:
    item = {
        **new_account_item(A_CUSTOMER.account),
        "open": {"M": {lease.request_id: lease_value(lease) for lease in leases}},
    }
    assert account_of(item, now_s=NOON_S).open == {lease.request_id: lease for lease in leases}


@given(ACCOUNTS)
def test_settings_are_a_part_of_the_item_and_hold_no_absent_wall(account: Account) -> None:
    settings = settings_of(account)
    item = new_account_item(account)
    assert settings.items() <= item.items()
    assert ("limit_tokens" in settings) == (account.limits.daily_tokens is not None)
    assert ("cap" in settings) == (account.hard_cap_tokens is not None)


def test_the_counters_of_now_are_told_and_those_gone_by_are_stale() -> None:
    lease = new_lease(A_CUSTOMER, admitted_s=NOON_S - 3 * 86_400)
    counters: dict[str, Any] = {
        tokens_attribute(NOON_S): number(7),
        requests_attribute(NOON_S): number(3),
        tokens_attribute(NOON_S - 86_400): number(5),
        tokens_attribute(NOON_S - 2 * 86_400): number(5),
        tokens_attribute(NOON_S - 3 * 86_400): number(5),
        tokens_attribute(NOON_S + 86_400): number(5),
        requests_attribute(NOON_S - 120): number(5),
        requests_attribute(NOON_S - 60): number(5),
        requests_attribute(NOON_S + 60): number(5),
    }
    item = {**new_account_item(A_CUSTOMER.account), **counters, "open": {"M": {lease.request_id: lease_value(lease)}}}
    account = account_of(item, now_s=NOON_S)
    assert (account.tokens_today, account.requests_this_minute) == (7, 3)
    assert account.stale == (f"r{NOON_S // 60 - 2}", "t20261121"), "an older one is needed while its request runs"


@pytest.mark.parametrize("name", ["title", "role", "rate", "t", "r1", "t2026", "total20261123"])
def test_no_other_attribute_is_taken_for_a_counter(name: str) -> None:
    item = {**new_account_item(A_CUSTOMER.account), name: number(1)}
    assert account_of(item, now_s=NOON_S).stale == ()


def test_an_accounts_key_names_it() -> None:
    assert account_key("abc") == {"pk": {"S": "ACCOUNT#abc"}, "sk": {"S": "ACCOUNT"}}


@given(st.floats(0, 10**11))
def test_a_number_keeps_every_digit_that_a_float_has(value: float) -> None:
    assert float(number(value)["N"]) == value
