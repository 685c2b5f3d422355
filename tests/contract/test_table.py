"""DynamoDB failing through its own protocol: whatever is repeated takes effect once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gateway.adapters.aws.table import ATTEMPTS, Table, TableUnavailable
from gateway.adapters.aws.wire.errors import AwsRefusal
from gateway.application.settling import Settle
from gateway.domain.errors import ServiceUnavailable, Unsettled
from gateway.domain.line import Waiter
from gateway.domain.usage import Lease

from tests.contract.conftest import Store, aws_store
from tests.support.accounts import Customer, key_record, new_customer, new_key, new_lease, new_settlement
from tests.support.aws import Aws, connect
from tests.support.clock import NOON_S, ManualClock
from tests.support.fault_proxy import FaultProxy, Kind, run_fault_proxy

pytestmark = pytest.mark.anyio
KINDS: list[Kind] = ["throttled", "conflict", "error", "dropped before", "dropped after"]
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def running_proxy(aws: Aws) -> Iterator[FaultProxy]:
    with run_fault_proxy(aws.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def faulty_aws(aws: Aws, running_proxy: FaultProxy) -> Store:
    return aws_store(aws, connect(running_proxy.url))


@pytest.fixture
def proxy(running_proxy: FaultProxy) -> Iterator[FaultProxy]:
    """The proxy, healed before and after."""
    running_proxy.heal()
    yield running_proxy
    running_proxy.heal()


@pytest.fixture
def store(faulty_aws: Store) -> Store:
    """The AWS adapters behind the proxy."""
    return faulty_aws


class SlowClock(ManualClock):
    """Of which three seconds pass in every pause."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(max(3, seconds))


async def test_a_table_that_takes_its_time_to_fail_is_given_up_before_all_attempts(
    aws: Aws, proxy: FaultProxy, faulty_aws: Store
) -> None:
    table = Table(connect(proxy.url), aws.table, SlowClock())
    proxy.fail_always("GetItem", "error")
    with pytest.raises(TableUnavailable):
        await table.get_item({"pk": {"S": "x"}, "sk": {"S": "y"}})
    assert proxy.calls == ["GetItem"] * 4 < ["GetItem"] * ATTEMPTS


async def admitted(store: Store) -> tuple[Customer, Lease]:
    customer = await store.open()
    lease = new_lease(customer)
    await store.ledger.admit(lease, key_hash=customer.key.hash)
    return customer, lease


@each_kind
async def test_an_admission_that_is_repeated_reserves_once(store: Store, proxy: FaultProxy, kind: Kind) -> None:
    customer = await store.open()
    lease = new_lease(customer)
    proxy.fail("UpdateItem", kind)
    account = await store.ledger.admit(lease, key_hash=customer.key.hash)
    assert proxy.calls.count("UpdateItem") == 2
    assert dict(account.open) == {lease.request_id: lease}
    assert (account.tokens_today, account.requests_this_minute) == (lease.reserved_tokens, 1)
    assert await store.account(customer) == account


@each_kind
async def test_a_settlement_that_is_repeated_bills_once(store: Store, proxy: FaultProxy, kind: Kind) -> None:
    customer, lease = await admitted(store)
    proxy.fail("TransactWriteItems", kind)
    await Settle(store.ledger, store.outbox)(new_settlement(lease, prompt=3, completion=4))
    assert proxy.calls.count("TransactWriteItems") == 2
    account = await store.account(customer)
    assert (dict(account.open), account.tokens_today) == ({}, 7)
    assert len(await store.records(customer.account.id)) == 1
    days = await store.accounts.usage_by_day(customer.account.id, first="20261123", last="20261123")
    assert days["20261123"]["all", ""].requests == 1
    assert await store.kept() == []


@each_kind
async def test_places_and_slots_that_are_asked_for_again_are_had_once(
    store: Store, proxy: FaultProxy, kind: Kind
) -> None:
    model = f"faulty/{kind}"
    proxy.fail("UpdateItem", kind)
    await store.lines.describe(model, status="ready", copies=1, slots=1)
    proxy.fail("UpdateItem", kind)
    assert await store.lines.take(model, request_id="a", account_id="x", deadline_s=NOON_S + 9) is None
    waiter = Waiter(request_id="b", account_id="x", since_s=NOON_S, deadline_s=NOON_S + 9)
    proxy.fail("UpdateItem", kind)
    assert await store.lines.join(model, waiter, max_waiting=1)
    proxy.fail("UpdateItem", kind)
    await store.lines.leave(model, "a", served_s=3)
    proxy.fail("UpdateItem", kind)
    assert await store.lines.take_turn(model, waiter, deadline_s=NOON_S + 9)
    proxy.fail("UpdateItem", kind)
    await store.lines.leave(model, "b", served_s=5)
    proxy.fail("GetItem", kind)
    line = await store.lines.look(model)
    assert (line.demand, line.service_s) == (0, 4)


@each_kind
async def test_accounts_and_keys_that_are_written_again_are_there_once(
    store: Store, proxy: FaultProxy, kind: Kind
) -> None:
    customer = new_customer()
    proxy.fail("PutItem", kind)
    await store.accounts.create(customer.account)
    _, key = new_key(customer.account.id)
    proxy.fail("UpdateItem", kind)
    assert await store.accounts.replace_keys(customer.account, {key.key_id: key_record(key)})
    proxy.fail("UpdateItem", kind)
    await store.accounts.update(customer.account)
    account = await store.account(customer)
    assert (list(account.keys), account.keys_version) == ([key.key_id], 1)


async def test_a_table_that_refuses_on_and_on_is_given_up_and_nothing_is_reserved(
    store: Store, proxy: FaultProxy
) -> None:
    customer = await store.open()
    proxy.fail_always("UpdateItem", "conflict")
    proxy.calls.clear()
    store.clock.slept.clear()
    with pytest.raises(ServiceUnavailable) as caught:
        await store.ledger.admit(new_lease(customer), key_hash=customer.key.hash)
    assert (caught.value.reason, caught.value.retry_after_s) == ("ledger_unavailable", 2)
    assert proxy.calls == ["UpdateItem"] * ATTEMPTS
    pauses = store.clock.slept
    assert len(pauses) == ATTEMPTS - 1
    assert pauses == sorted(pauses)
    proxy.heal()
    assert (await store.account(customer)).tokens_today == 0


async def test_a_settlement_that_the_table_refuses_on_and_on_is_settled_from_the_outbox(
    store: Store, proxy: FaultProxy
) -> None:
    customer, lease = await admitted(store)
    settlement = new_settlement(lease)
    proxy.fail_always("TransactWriteItems", "conflict")
    with pytest.raises(Unsettled):
        await store.ledger.settle(settlement)
    await Settle(store.ledger, store.outbox)(settlement)
    assert await store.records(customer.account.id) == []
    proxy.heal()
    (kept,) = await store.kept()
    assert kept == settlement
    await store.ledger.settle(kept)
    assert len(await store.records(customer.account.id)) == 1
    assert (await store.account(customer)).tokens_today == 30


async def test_past_table_and_outbox_the_lease_stays_for_the_sweep(store: Store, proxy: FaultProxy) -> None:
    customer, lease = await admitted(store)
    proxy.fail_always("TransactWriteItems", "conflict")
    proxy.fail_always("SendMessage", "conflict")
    await Settle(store.ledger, store.outbox)(new_settlement(lease))
    proxy.heal()
    assert list((await store.account(customer)).open) == [lease.request_id]
    assert await store.kept() == []


async def test_a_refusal_that_no_repeat_can_mend_is_raised_as_it_came(aws: Aws) -> None:
    clock = ManualClock()
    table = Table(connect(aws.url), "no-such-table", clock)
    with pytest.raises(AwsRefusal, match="ResourceNotFoundException"):
        await table.get_item({"pk": {"S": "x"}, "sk": {"S": "x"}})
    assert clock.slept == []
