"""The promises of `ports.Accounts`: accounts, their keys, their days."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from gateway.adapters.aws.accounts import DynamoAccounts
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.table import Table
from gateway.domain.usage import Totals

from tests.contract.conftest import Store
from tests.support.accounts import CHAT_ONLY, key_record, new_customer, new_key, new_lease, new_settlement
from tests.support.aws import Aws
from tests.support.clock import NOON_S, ManualClock

pytestmark = pytest.mark.anyio


async def test_an_account_is_read_as_it_was_written(store: Store) -> None:
    for settings in ({}, {"daily_tokens": None, "hard_cap_tokens": 5, "active": False, "scopes": CHAT_ONLY}):
        customer = new_customer(**settings)  # type: ignore[arg-type]  # each of the settings has its own type
        await store.accounts.create(customer.account)
        assert await store.accounts.read(customer.account.id) == customer.account


async def test_an_account_that_is_not_there_is_none(store: Store) -> None:
    assert await store.accounts.read("nobody000000") is None


async def test_an_id_that_is_taken_is_refused_and_what_is_there_stays(store: Store) -> None:
    customer = await store.open()
    with pytest.raises(ValueError, match=customer.account.id):
        await store.accounts.create(replace(customer.account, name="Another", keys={}))
    assert await store.account(customer) == customer.account


async def test_the_same_account_written_again_is_no_error(store: Store) -> None:
    customer = await store.open()
    await store.accounts.create(customer.account)
    assert await store.account(customer) == customer.account


async def test_counters_are_those_of_the_moment_of_reading(store: Store) -> None:
    customer = await store.open()
    await store.ledger.admit(new_lease(customer), key_hash=customer.key.hash)
    assert (await store.account(customer)).requests_this_minute == 1
    store.clock.advance(60)
    account = await store.account(customer)
    assert (account.requests_this_minute, account.tokens_today) == (0, 100)
    store.clock.advance(86_400)
    assert (await store.account(customer)).tokens_today == 0


async def test_keys_are_replaced_whole_and_their_version_grows(store: Store) -> None:
    customer = await store.open()
    _, key = new_key(customer.account.id)
    keys = {key.key_id: key_record(key, enabled=False, scopes=CHAT_ONLY)}
    assert await store.accounts.replace_keys(customer.account, keys)
    account = await store.account(customer)
    assert account.keys == keys
    assert account.keys_version == 1


async def test_keys_changed_by_somebody_else_meanwhile_are_not_overwritten(store: Store) -> None:
    customer = await store.open()
    assert await store.accounts.replace_keys(customer.account, {})
    assert not await store.accounts.replace_keys(customer.account, customer.account.keys)
    assert (await store.account(customer)).keys == {}


async def test_the_same_change_of_keys_made_again_is_told_as_done(store: Store) -> None:
    customer = await store.open()
    _, key = new_key(customer.account.id)
    for _ in range(2):
        assert await store.accounts.replace_keys(customer.account, {key.key_id: key_record(key)})
    assert (await store.account(customer)).keys_version == 1


async def test_of_many_that_replace_the_same_keys_at_once_one_does(store: Store) -> None:
    customer = await store.open()
    wanted = [{key.key_id: key_record(key)} for _, key in (new_key(customer.account.id) for _ in range(8))]
    done = await asyncio.gather(*(store.accounts.replace_keys(customer.account, keys) for keys in wanted))
    assert sorted(done) == [False] * 7 + [True]
    assert (await store.account(customer)).keys == wanted[done.index(True)]


async def test_the_keys_of_an_account_that_is_not_there_are_not_replaced(store: Store) -> None:
    assert not await store.accounts.replace_keys(new_customer().account, {})


async def test_replacing_keys_leaves_open_requests_and_counters_alone(store: Store) -> None:
    customer = await store.open()
    lease = new_lease(customer)
    await store.ledger.admit(lease, key_hash=customer.key.hash)
    assert await store.accounts.replace_keys(customer.account, {})
    account = await store.account(customer)
    assert dict(account.open) == {lease.request_id: lease}
    assert account.tokens_today == 100


async def test_an_update_writes_the_settings_and_nothing_else(store: Store) -> None:
    customer = await store.open()
    lease = new_lease(customer)
    await store.ledger.admit(lease, key_hash=customer.key.hash)
    limits = replace(customer.account.limits, daily_tokens=7, included_tokens=8, max_open_requests=9)
    changed = replace(
        customer.account, name="B", plan="pro", active=False, limits=limits, hard_cap_tokens=7, keys={}, keys_version=9
    )
    await store.accounts.update(changed)
    account = await store.account(customer)
    assert (account.name, account.plan, account.active, account.hard_cap_tokens) == ("B", "pro", False, 7)
    assert account.limits == limits
    assert account.keys == customer.account.keys
    assert account.keys_version == 0
    assert dict(account.open) == {lease.request_id: lease}


async def test_an_update_takes_a_wall_and_a_cap_away(store: Store) -> None:
    customer = await store.open(daily_tokens=5, hard_cap_tokens=5)
    limits = replace(customer.account.limits, daily_tokens=None)
    await store.accounts.update(replace(customer.account, limits=limits, hard_cap_tokens=None))
    account = await store.account(customer)
    assert (account.limits.daily_tokens, account.hard_cap_tokens) == (None, None)


async def test_an_account_that_is_not_there_can_not_be_updated_into_being(store: Store) -> None:
    account = new_customer().account
    with pytest.raises(KeyError):
        await store.accounts.update(account)
    assert await store.accounts.read(account.id) is None


async def test_all_ids_are_told_once(store: Store) -> None:
    mine = {(await store.open()).account.id for _ in range(5)}
    ids = [account_id async for account_id in store.accounts.ids()]
    assert len(ids) == len(set(ids))
    assert mine <= set(ids)


async def test_days_are_told_within_their_bounds_and_only_the_accounts_own(store: Store) -> None:
    customer, other = await store.open(), await store.open()
    for owner, days in ((customer, range(4)), (other, range(1))):
        for day in days:
            lease = new_lease(owner, admitted_s=NOON_S + day * 86_400)
            await store.ledger.admit(lease, key_hash=owner.key.hash)
            await store.ledger.settle(new_settlement(lease, completion=day))
    told = await store.accounts.usage_by_day(customer.account.id, first="20261124", last="20261125")
    assert {day: breakdown["all", ""] for day, breakdown in told.items()} == {
        "20261124": Totals(requests=1, prompt_tokens=10, completion_tokens=1, cost_nano_usd=30),
        "20261125": Totals(requests=1, prompt_tokens=10, completion_tokens=2, cost_nano_usd=30),
    }
    assert await store.accounts.usage_by_day(customer.account.id, first="20270101", last="20270131") == {}


class SmallPages(Table):
    """A table whose queries answer one item a page."""

    async def query(self, **arguments: object) -> dict[str, object]:
        return await super().query(**arguments, Limit=1)


async def test_what_does_not_fit_one_page_is_read_to_its_end(aws: Aws, clients: Clients) -> None:
    clock = ManualClock()
    accounts = DynamoAccounts(SmallPages(clients, aws.table, clock), clock)
    mine = [new_customer().account for _ in range(3)]
    for account in mine:
        await accounts.create(account)
    ids = [account_id async for account_id in accounts.ids()]
    assert len(ids) == len(set(ids))
    assert {account.id for account in mine} <= set(ids)
