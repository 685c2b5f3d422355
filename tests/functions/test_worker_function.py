"""The worker function on its example events, over the local AWS."""

from __future__ import annotations

from typing import Any

import pytest
from gateway.application.enqueueing import JobRequest
from gateway.domain.jobs import Job
from gateway.domain.keys import ApiKey, parse_key

from infra.local.context import Context
from tests.functions.loading import Functions, Handler, read_event
from tests.support.engine_pieces import whole
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import MODEL, OpenedAccount, Stack

JOB_1, JOB_2 = "job_0000000000000000000000001", "job_0000000000000000000000002"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def handler(stack: Stack, functions: Functions) -> Handler:
    stack.engine.engine = ScriptedEngine([Script(pieces=whole("Hello", " you"))])
    stack.run(stack.gateway.watch_models([stack.gateway.catalogue.models[MODEL]]))
    return functions.handler("WorkerFunction")


def key_of(account: OpenedAccount) -> ApiKey:
    key = parse_key(account.key)
    assert key is not None
    return key


def submit(stack: Stack, account: OpenedAccount, job_id: str) -> Job:
    asked = JobRequest(body=BODY, job_id=job_id)
    return stack.run(
        stack.make_gateway(**stack.functions["WorkerFunction"].environment).enqueue.submit(asked, key=key_of(account))
    )


def event_of(name: str, account: OpenedAccount) -> dict[str, Any]:
    """The example event, of this account."""
    event = read_event(name)
    for record in event["Records"]:
        record["body"] = record["body"].replace("localaccount", account.id)
    return event


def failures(answer: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def read(stack: Stack, job: Job) -> Job:
    found = stack.run(stack.gateway.jobs.read(job.ref))
    assert found is not None
    return found


def test_a_job_is_generated_and_billed(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context
) -> None:
    job = submit(stack, account, JOB_1)
    assert failures(handler(event_of("sqs_job", account), context)) == []
    done = read(stack, job)
    assert (done.status, done.http_status) == ("succeeded", 200)
    (record,) = stack.usage_records(account)
    assert (record["status"], record["total_tokens"], record["key"]) == ("ok", 12, account.key_id)
    assert stack.line().open == {}


def test_a_message_delivered_twice_generates_and_bills_once(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context
) -> None:
    submit(stack, account, JOB_1)
    assert failures(handler(event_of("sqs_job_duplicate", account), context)) == []
    assert len(stack.usage_records(account)) == 1
    engine = stack.engine.engine
    assert isinstance(engine, ScriptedEngine)
    assert len(engine.bodies) == 1


def test_a_message_that_names_no_job_can_be_read_by_nobody_and_stays(
    account: OpenedAccount, handler: Handler, context: Context
) -> None:
    event = event_of("sqs_job_bad", account)
    assert failures(handler(event, context)) == [event["Records"][0]["messageId"]]


def test_one_broken_message_fails_alone(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context
) -> None:
    jobs = [submit(stack, account, job_id) for job_id in (JOB_1, JOB_2)]
    event = event_of("sqs_job_partial", account)
    assert failures(handler(event, context)) == [event["Records"][1]["messageId"]]
    assert [read(stack, job).status for job in jobs] == ["succeeded", "succeeded"]


def test_a_job_that_ended_long_ago_is_let_go(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context
) -> None:
    handler(event_of("sqs_job", account), context)
    assert stack.usage_records(account) == []
