"""Work from event sources: an account's name without a key, and the same event twice."""

from __future__ import annotations

from typing import Any

import pytest
from gateway.domain.errors import InvalidRequest, NotFound, PermissionDenied

from tests.support.accounts import new_customer
from tests.support.works import REQUEST, build_works, line

pytestmark = pytest.mark.anyio
SOME_S = 1_795_435_200


async def test_the_same_event_makes_the_same_job_and_bills_once() -> None:
    works = await build_works(answers=2)
    account_id = works.house.customer.account.id
    for _ in range(2):
        await works.intake.request(account_id, "sqs", REQUEST, event_id="e1")
    await works.deliver()
    (record,) = works.house.settled()
    assert (record.tokens.total, record.lease.key_id) == (7, "sqs")
    assert [ref.job_id for ref in works.jobs.by_ref] == ["job_sqs-e1"]


async def test_an_event_may_name_the_jobs_own_fields_beside_the_requests() -> None:
    works = await build_works(answers=1)
    fields = {
        "model": "small",
        "prompt": "hi",
        "max_tokens": 5,
        "metadata": {"order": "7"},
        "endpoint": "/v1/completions",
    }
    job = await works.intake.request(works.house.customer.account.id, "events", fields, event_id="e1")
    assert (job.endpoint, job.metadata) == ("/v1/completions", {"order": "7"})
    await works.deliver()
    assert (await works.job(job.ref)).status == "succeeded"


@pytest.mark.parametrize(
    ("spoil", "param"),
    [
        ({"callback_url": 7}, "callback_url"),
        ({"callback_url": "https://example.com/no-key-to-sign-with"}, "callback_url"),
        ({"metadata": ["a"]}, "metadata"),
        ({"endpoint": "/v1/other"}, "endpoint"),
        ({"stream": True}, "stream"),
        ({"messages": []}, "messages"),
    ],
)
async def test_a_broken_request_names_its_field(spoil: dict[str, Any], param: str) -> None:
    works = await build_works()
    with pytest.raises(InvalidRequest) as caught:
        await works.intake.request(works.house.customer.account.id, "sqs", REQUEST | spoil, event_id="e1")
    assert caught.value.param == param
    assert works.jobs.by_ref == {}


@pytest.mark.parametrize("account_id", ["", "nobody", "a/../b", "x" * 12])
async def test_an_account_that_is_not_there_is_refused(account_id: str) -> None:
    works = await build_works()
    with pytest.raises((InvalidRequest, NotFound)):
        await works.intake.request(account_id, "sqs", REQUEST, event_id="e1")


async def test_a_suspended_accounts_job_fails_when_it_runs() -> None:
    works = await build_works(customer=new_customer(active=False))
    job = await works.intake.request(works.house.customer.account.id, "sqs", REQUEST, event_id="e1")
    await works.deliver()
    shown = await works.enqueue.show(await works.job(job.ref))
    assert (shown["status"], shown["error"]["code"]) == ("failed", PermissionDenied.status)


async def test_a_dropped_file_becomes_a_batch_whose_answers_lie_in_the_outbox() -> None:
    works = await build_works(answers=2)
    account_id = works.house.customer.account.id
    key = f"inbox/{account_id}/today/questions.jsonl"
    works.blobs.kept[key] = b"\n".join([line("a"), b"{", line("b")])
    for _ in range(2):
        await works.intake.dropped(key, "s3", drop_id="1", dropped_s=SOME_S)
    ((_, batch_id),) = [entry async for entry in works.jobs.open_batches()]
    batch = await works.run_out(await works.batches.find(account_id, batch_id))
    assert (batch.status, batch.completed, batch.failed) == ("completed", 2, 1)
    outbox = f"outbox/{account_id}/today/questions"
    assert works.blobs.kept[f"{outbox}.output.jsonl"].count(b"\n") == 2
    assert works.blobs.kept[f"{outbox}.errors.jsonl"].count(b"\n") == 1
    assert {record.lease.key_id for record in works.house.settled()} == {"s3"}


async def test_a_file_dropped_again_is_another_batch() -> None:
    works = await build_works()
    account_id = works.house.customer.account.id
    key = f"inbox/{account_id}/questions.jsonl"
    works.blobs.kept[key] = line("a")
    await works.intake.dropped(key, "s3", drop_id="1", dropped_s=SOME_S)
    await works.intake.dropped(key, "s3", drop_id="2", dropped_s=SOME_S)
    assert len([entry async for entry in works.jobs.open_batches()]) == 2


@pytest.mark.parametrize("key", ["outbox/{}/a.jsonl", "inbox/{}/a.csv", "inbox/{}", "files/{}/a.jsonl"])
async def test_an_object_that_is_no_batch_is_left_alone(key: str) -> None:
    works = await build_works()
    await works.intake.dropped(key.format(works.house.customer.account.id), "s3", drop_id="1", dropped_s=SOME_S)
    assert [entry async for entry in works.jobs.open_batches()] == []


async def test_an_object_that_is_gone_or_of_nobody_is_refused() -> None:
    works = await build_works()
    for owner in (works.house.customer.account.id, "x" * 12):
        with pytest.raises(NotFound):
            await works.intake.dropped(f"inbox/{owner}/a.jsonl", "s3", drop_id="1", dropped_s=SOME_S)
