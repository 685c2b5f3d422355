"""The promises of `ports.Jobs`, and of the ledger where a settlement ends a job: one claim, one end, one count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.jobs import DynamoJobs
from gateway.adapters.aws.table import Table
from gateway.application.ports import Jobs
from gateway.domain.batches import Batch, File
from gateway.domain.jobs import Blob, Job, JobEnd, JobRef, JobStatus

from tests.contract.conftest import Store, aws_store, fake_store
from tests.support.accounts import Customer, new_lease, new_settlement
from tests.support.aws import Aws
from tests.support.clock import NOON_S
from tests.support.fake_jobs import FakeJobs
from tests.support.fake_ledger import FakeLedger

pytestmark = pytest.mark.anyio
_numbers = count(1)
NOW_S = int(NOON_S)


@dataclass
class Office:
    """Jobs over the same data as a ledger."""

    jobs: Jobs
    store: Store


@pytest.fixture(params=["fake", "aws"])
def office(request: pytest.FixtureRequest) -> Office:
    """The ports, in memory or on moto."""
    if request.param == "fake":
        store, jobs = fake_store(), FakeJobs()
        assert isinstance(store.ledger, FakeLedger)
        store.ledger._books.end_job = jobs.end_now
        return Office(jobs, store)
    aws: Aws = request.getfixturevalue("aws")
    clients: Clients = request.getfixturevalue("clients")
    store = aws_store(aws, clients)
    return Office(DynamoJobs(Table(clients, aws.table, store.clock)), store)


def new_job(*, account_id: str = "account00001", batch: Batch | None = None, line: int | None = None) -> Job:
    number = next(_numbers)
    job_id = f"job_{number:032d}" if batch is None else f"{batch.id}-{line}"
    return Job(
        ref=JobRef(account_id=account_id, job_id=job_id, batch_id=batch.id if batch else None),
        key_id="k0000001",
        key_hash="hash",
        endpoint="/v1/chat/completions",
        model="small",
        request=Blob(inline='{"model": "small"}'),
        created_s=NOW_S,
        expires_s=NOW_S + 100,
        callback_url="https://example.com",
        metadata={"a": "b"},
        line=line,
        custom_id=None if line is None else f"c{line}",
    )


def new_batch(*, account_id: str | None = None) -> Batch:
    number = next(_numbers)
    return Batch(
        id=f"batch_{number:032d}",
        account_id=account_id or f"b{number:011d}",
        key_id="k",
        key_hash=None,
        endpoint="/v1/completions",
        input_file_id="file_1",
        status="validating",
        created_s=NOW_S,
        expires_s=NOW_S + 100,
        metadata={"a": "b"},
        outbox_prefix="outbox/x",
    )


def end_of(job: Job, status: JobStatus = "succeeded", *, claim: str | None = None, answer: str = "{}") -> JobEnd:
    return JobEnd(
        ref=job.ref, status=status, answer=Blob(inline=answer), http_status=200, ended_s=NOW_S + 9, claim=claim
    )


async def added(office: Office, job: Job) -> Job:
    assert await office.jobs.add(job)
    return job


async def read(office: Office, job: Job) -> Job:
    found = await office.jobs.read(job.ref)
    assert found is not None
    return found


@pytest.mark.parametrize("request_", [Blob(inline="{}"), Blob(stored="jobs/a/b.json")])
async def test_a_job_is_read_as_it_was_added(office: Office, request_: Blob) -> None:
    job = await added(office, replace(new_job(), request=request_))
    assert await read(office, job) == job
    bare = replace(new_job(), key_hash=None, callback_url=None, metadata=None)
    assert await read(office, await added(office, bare)) == bare


async def test_a_job_that_exists_is_not_touched(office: Office) -> None:
    job = await added(office, new_job())
    assert not await office.jobs.add(replace(job, model="other"))
    assert await read(office, job) == job


async def test_a_job_nobody_added_is_not_there_and_not_claimed(office: Office) -> None:
    job = new_job()
    assert await office.jobs.read(job.ref) is None
    assert await office.jobs.claim(job.ref, claim="a", now_s=NOW_S, until_s=NOW_S + 9) is None
    assert not await office.jobs.end(end_of(job))


async def test_of_many_claims_one_is_granted(office: Office) -> None:
    job = await added(office, new_job())
    claims = [office.jobs.claim(job.ref, claim=name, now_s=NOW_S, until_s=NOW_S + 9) for name in "abcd"]
    granted = [claimed for claimed in await asyncio.gather(*claims) if claimed]
    (claimed,) = granted
    assert (claimed.status, claimed.claimed_until_s, claimed.started_s) == ("running", NOW_S + 9, NOW_S)


async def test_a_claim_that_is_over_is_taken_over_and_its_holder_can_end_nothing(office: Office) -> None:
    job = await added(office, new_job())
    await office.jobs.claim(job.ref, claim="first", now_s=NOW_S, until_s=NOW_S + 9)
    assert await office.jobs.claim(job.ref, claim="second", now_s=NOW_S + 8, until_s=NOW_S + 99) is None
    taken = await office.jobs.claim(job.ref, claim="second", now_s=NOW_S + 9, until_s=NOW_S + 99)
    assert taken is not None
    assert taken.started_s == NOW_S
    assert not await office.jobs.end(end_of(job, claim="first"))
    assert await office.jobs.end(end_of(job, claim="second"))


async def test_the_same_claim_is_granted_again(office: Office) -> None:
    job = await added(office, new_job())
    for until_s in (NOW_S + 9, NOW_S + 10):
        assert await office.jobs.claim(job.ref, claim="a", now_s=NOW_S, until_s=until_s) is not None


async def test_only_the_claims_holder_makes_a_job_queued_again(office: Office) -> None:
    job = await added(office, new_job())
    await office.jobs.claim(job.ref, claim="a", now_s=NOW_S, until_s=NOW_S + 9)
    await office.jobs.release(job.ref, claim="b")
    assert (await read(office, job)).status == "running"
    await office.jobs.release(job.ref, claim="a")
    assert (await read(office, job)).status == "queued"
    assert await office.jobs.claim(job.ref, claim="b", now_s=NOW_S, until_s=NOW_S + 9) is not None


async def test_a_job_ends_once(office: Office) -> None:
    job = await added(office, new_job())
    await office.jobs.claim(job.ref, claim="a", now_s=NOW_S, until_s=NOW_S + 9)
    assert await office.jobs.end(end_of(job, "cancelled", answer="null"))
    assert not await office.jobs.end(end_of(job, "failed", claim="a"))
    assert not await office.jobs.end(end_of(job, "expired"))
    assert await office.jobs.claim(job.ref, claim="a", now_s=NOW_S + 99, until_s=NOW_S + 999) is None
    ended = await read(office, job)
    assert (ended.status, ended.answer, ended.ended_s) == ("cancelled", Blob(inline="null"), NOW_S + 9)


async def settle(office: Office, customer: Customer, job: Job, *, claim: str) -> None:
    lease = new_lease(customer)
    await office.store.ledger.admit(lease, key_hash=customer.key.hash)
    await office.store.ledger.settle(replace(new_settlement(lease), job=end_of(job, claim=claim)))


async def test_a_settlement_ends_its_job_and_charges_in_one_step(office: Office) -> None:
    customer = await office.store.open()
    job = await added(office, new_job())
    await office.jobs.claim(job.ref, claim="a", now_s=NOW_S, until_s=NOW_S + 9)
    await settle(office, customer, job, claim="a")
    assert (await read(office, job)).status == "succeeded"
    (record,) = await office.store.records(customer.account.id)
    assert (record["status"], record["prompt_tokens"], record["completion_tokens"]) == ("ok", 10, 20)


@pytest.mark.parametrize("status", ["cancelled", "succeeded"])
async def test_a_settlement_whose_job_was_ended_by_another_charges_nothing(office: Office, status: JobStatus) -> None:
    customer = await office.store.open()
    job = await added(office, new_job())
    await office.jobs.claim(job.ref, claim="a", now_s=NOW_S, until_s=NOW_S + 9)
    await office.jobs.end(end_of(job, status, answer="other"))
    await settle(office, customer, job, claim="a")
    assert (await read(office, job)).answer == Blob(inline="other")
    (record,) = await office.store.records(customer.account.id)
    assert (record["status"], record["http_status"], record["completion_tokens"]) == ("failed", 499, 0)
    account = await office.store.account(customer)
    assert (dict(account.open), account.tokens_today) == ({}, 0)


async def test_a_batch_counts_each_line_once(office: Office) -> None:
    batch = new_batch()
    await office.jobs.add_batch(batch)
    jobs = [await added(office, new_job(batch=batch, line=line)) for line in range(1, 21)]
    ends = [end_of(job, "succeeded" if (job.line or 0) % 4 else "failed") for job in jobs]
    told = await asyncio.gather(*(office.jobs.end(end) for end in ends))
    assert all(told)
    for job in jobs:
        assert not await office.jobs.end(end_of(job, "expired"))
    found = await office.jobs.read_batch(batch.account_id, batch.id)
    assert found is not None
    assert (found.completed, found.failed) == (15, 5)
    assert [job.line async for job in office.jobs.lines(batch)] == list(range(1, 21))


async def test_a_batch_is_read_as_it_was_written_and_added_once(office: Office) -> None:
    batch = new_batch()
    assert await office.jobs.add_batch(batch)
    assert not await office.jobs.add_batch(replace(batch, endpoint="/v1/other"))
    assert await office.jobs.read_batch(batch.account_id, batch.id) == batch
    assert await office.jobs.read_batch("another00001", batch.id) is None
    assert [job async for job in office.jobs.lines(batch)] == []


async def test_a_batch_is_written_only_by_who_has_seen_it_as_it_is(office: Office) -> None:
    batch = new_batch()
    await office.jobs.add_batch(batch)
    errors = ({"code": "invalid_file", "line": None},)
    written = await office.jobs.update_batch(
        replace(batch, status="in_progress", total=7, read_lines=9, times={"in_progress": NOW_S}, errors=errors)
    )
    assert written is not None
    assert await office.jobs.read_batch(batch.account_id, batch.id) == written
    assert await office.jobs.update_batch(replace(batch, status="failed")) is None
    assert await office.jobs.update_batch(replace(written, status="failed")) is not None


async def test_open_batches_are_those_that_have_not_ended(office: Office) -> None:
    first, second = new_batch(), new_batch()
    for batch in (first, second):
        await office.jobs.add_batch(batch)
    await office.jobs.update_batch(replace(first, status="cancelled"))
    found = {batch_id async for _, batch_id in office.jobs.open_batches()}
    assert second.id in found
    assert first.id not in found


async def test_lists_are_newest_first_in_pages(office: Office) -> None:
    account_id = f"p{next(_numbers):011d}"
    batches = [new_batch(account_id=account_id) for _ in range(5)]
    files = [new_file(account_id) for _ in range(5)]
    for batch, file in zip(batches, files, strict=True):
        await office.jobs.add_batch(batch)
        await office.jobs.add_file(file)
    await page_through(office.jobs.list_batches, account_id, [batch.id for batch in batches[::-1]])
    await page_through(office.jobs.list_files, account_id, [file.id for file in files[::-1]])


async def page_through(list_page: Callable[..., Any], account_id: str, expected: list[str]) -> None:
    found: list[str] = []
    more = True
    while more:
        page, more = await list_page(account_id, limit=2, after=found[-1] if found else None)
        found += [entry.id for entry in page]
    assert found == expected


def new_file(account_id: str) -> File:
    return File(
        id=f"file_{next(_numbers):032d}",
        account_id=account_id,
        filename="a.jsonl",
        purpose="batch",
        bytes=7,
        created_s=NOW_S,
        expires_s=NOW_S + 9,
        blob_key="files/a",
    )


async def test_a_files_record_is_written_read_and_forgotten(office: Office) -> None:
    file = replace(new_file(f"f{next(_numbers):011d}"), ready=False)
    await office.jobs.add_file(file)
    assert await office.jobs.read_file(file.account_id, file.id) == file
    changed = replace(file, ready=True, bytes=9)
    await office.jobs.add_file(changed)
    assert await office.jobs.read_file(file.account_id, file.id) == changed
    assert await office.jobs.read_file("another00001", file.id) is None
    for _ in range(2):
        await office.jobs.delete_file(file.account_id, file.id)
    assert await office.jobs.read_file(file.account_id, file.id) is None


async def test_an_id_longer_than_any_key_names_nothing(office: Office) -> None:
    for long in ("x" * 3000, "é" * 1000, f"batch_{'x' * 3000}-1"):
        assert await office.jobs.read(JobRef(account_id="account00001", job_id=long)) is None
        assert await office.jobs.read_file("account00001", long) is None
        assert await office.jobs.read_batch("account00001", long) is None
        assert await office.jobs.list_files("account00001", limit=5, after=long) == ([], False)
        assert await office.jobs.list_batches("account00001", limit=5, after=long) == ([], False)
