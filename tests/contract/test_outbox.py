"""The promises of `ports.Outbox`: what is put can be settled later, whole."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from gateway.adapters.aws.outbox import SqsOutbox, write_message
from gateway.adapters.aws.outbox_reading import read_message
from gateway.domain.errors import LeaseGone, Unsettled
from gateway.domain.jobs import Blob, JobEnd, JobRef
from gateway.domain.usage import Settlement, lost
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.conftest import Store
from tests.support.accounts import new_customer, new_lease, new_settlement
from tests.support.aws import Aws, connect

pytestmark = pytest.mark.anyio
A_LEASE = new_lease(new_customer())


async def test_a_settlement_is_kept_with_all_it_says(store: Store) -> None:
    first = new_settlement(A_LEASE, status="partial", http_status=499, stale=("t20261122", "r29"))
    second = lost(A_LEASE, now_s=5)
    await store.outbox.put(first)
    await store.outbox.put(second)
    assert sorted(await store.kept(), key=lambda kept: kept.status) == [second, first]


async def test_a_kept_settlement_is_settled_once_however_often_it_is_delivered(store: Store) -> None:
    customer = await store.open()
    lease = new_lease(customer)
    await store.ledger.admit(lease, key_hash=customer.key.hash)
    await store.outbox.put(new_settlement(lease))
    (kept,) = await store.kept()
    await store.ledger.settle(kept)
    with suppress(LeaseGone):  # for ten minutes DynamoDB answers the very same transaction as it did before
        await store.ledger.settle(kept)
    assert (await store.account(customer)).tokens_today == 30


async def test_an_outbox_out_of_reach_says_that_nothing_was_kept(aws: Aws) -> None:
    nowhere = SqsOutbox(connect(aws.url), aws.outbox_url + "-that-is-not-there")
    with pytest.raises(Unsettled):
        await nowhere.put(new_settlement(A_LEASE))


SETTLEMENTS = st.builds(
    lambda settlement, reason, first, job: replace(settlement, finish_reason=reason, first_token_ms=first, job=job),
    st.builds(
        new_settlement,
        st.just(A_LEASE),
        status=st.sampled_from(["ok", "partial", "failed", "lost"]),
        http_status=st.integers(200, 599),
        prompt=st.integers(0),
        completion=st.integers(0),
        stale=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    ),
    st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    st.none() | st.integers(0),
    st.none()
    | st.just(
        JobEnd(
            ref=JobRef(account_id="a", job_id="j"), status="succeeded", answer=Blob("{}"), http_status=200, ended_s=1
        )
    ),
)


@given(SETTLEMENTS)
def test_every_settlement_reads_as_it_was_written(settlement: Settlement) -> None:
    assert read_message(write_message(settlement)) == settlement


@pytest.mark.parametrize("body", ["", "{}", "null", '{"lease": 1}', write_message(new_settlement(A_LEASE))[:-5]])
def test_what_is_no_settlement_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read_message(body)
