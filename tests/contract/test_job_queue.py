"""The promises of `ports.JobQueue` on SQS: what is sent can be read back, in its account's group, after its delay."""

from __future__ import annotations

import pytest
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.queues import CALLBACKS, JOB_REFS, STEPS, SqsJobQueue
from gateway.catalogue import load_catalogue
from gateway.domain.batches import BatchStep
from gateway.domain.errors import ServiceUnavailable
from gateway.domain.jobs import Callback, JobRef
from pydantic_core import to_json

from tests.contract.storage import queue_url, storage_clients, take_all
from tests.support.aws import Aws

pytestmark = pytest.mark.anyio
MODEL = load_catalogue().models["smollm2-135m-instruct"]
REF = JobRef(account_id="account00001", job_id="job_1")


@pytest.fixture(scope="module")
def storage(aws: Aws) -> Clients:
    return storage_clients(aws)


@pytest.fixture
def queue(aws: Aws, storage: Clients) -> SqsJobQueue:
    return SqsJobQueue(
        clients=storage,
        jobs_url_prefix=queue_url(aws, "jobs-"),
        intake_url=queue_url(aws, "IntakeQueue"),
        callbacks_url=queue_url(aws, "CallbacksQueue"),
    )


def jobs_url(aws: Aws) -> str:
    return queue_url(aws, f"jobs-{MODEL.resource_slug}")


async def test_a_job_waits_at_its_model_in_its_accounts_group(aws: Aws, storage: Clients, queue: SqsJobQueue) -> None:
    await queue.send_job(MODEL, REF)
    (message,) = take_all(storage, jobs_url(aws))
    assert JOB_REFS.validate_json(to_json(message["Body"])) == REF
    assert message["Attributes"]["MessageGroupId"] == REF.account_id


async def test_many_jobs_are_all_sent(aws: Aws, storage: Clients, queue: SqsJobQueue) -> None:
    refs = [JobRef(account_id="a", job_id=f"batch_1-{line}", batch_id="batch_1") for line in range(23)]
    await queue.send_jobs(MODEL, refs)
    messages = take_all(storage, jobs_url(aws))
    found = [JOB_REFS.validate_json(to_json(message["Body"])) for message in messages]
    assert sorted(found, key=lambda ref: ref.job_id) == sorted(refs, key=lambda ref: ref.job_id)


@pytest.mark.parametrize(("delay_s", "seen"), [(-3, True), (0, True), (30, False), (10_000, False)])
async def test_a_delayed_job_is_not_seen_yet(
    aws: Aws, storage: Clients, queue: SqsJobQueue, delay_s: int, seen: bool
) -> None:
    await queue.send_job(MODEL, REF, delay_s=delay_s)
    assert len(take_all(storage, jobs_url(aws))) == int(seen)


async def test_steps_and_callbacks_have_queues_of_their_own(aws: Aws, storage: Clients, queue: SqsJobQueue) -> None:
    step, callback = BatchStep("a", "batch_1", "finish"), Callback(REF, 3)
    await queue.send_step(step)
    await queue.send_callback(callback)
    (sent_step,) = take_all(storage, queue_url(aws, "IntakeQueue"))
    (sent_callback,) = take_all(storage, queue_url(aws, "CallbacksQueue"))
    assert STEPS.validate_json(to_json(sent_step["Body"])) == step
    assert CALLBACKS.validate_json(to_json(sent_callback["Body"])) == callback


async def test_a_queue_that_is_not_there_is_told_as_out_of_reach(aws: Aws, storage: Clients) -> None:
    queue = SqsJobQueue(clients=storage, jobs_url_prefix=queue_url(aws, "no-"), intake_url="", callbacks_url="")
    with pytest.raises(ServiceUnavailable):
        await queue.send_job(MODEL, REF)
    with pytest.raises(ServiceUnavailable):
        await queue.send_jobs(MODEL, [REF])
