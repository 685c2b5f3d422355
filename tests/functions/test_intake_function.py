"""The intake function on its example events, over the local AWS."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway.application.batching import BatchRequest
from gateway.domain.batches import Batch
from gateway.domain.keys import ApiKey

from infra.local.context import Context
from tests.functions.loading import Functions, Handler, read_event
from tests.support.gateway import Gateway
from tests.support.stack import MODEL, OpenedAccount, Stack

GOOD = {"custom_id": "a", "body": {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}}
REQUESTS = ("sqs_request", "bus_generation_requested")


@pytest.fixture
def handler(functions: Functions) -> Handler:
    return functions.handler("IntakeFunction")


@pytest.fixture
def gateway(stack: Stack) -> Gateway:
    """A gateway with the intake function's own variables."""
    return stack.make_gateway(**stack.functions["IntakeFunction"].environment)


def event_of(name: str, account: OpenedAccount) -> dict[str, Any]:
    """The example event, of this account."""
    event: dict[str, Any] = json.loads(json.dumps(read_event(name)).replace("localaccount", account.id))
    return event


def jobs_of(stack: Stack, account: OpenedAccount, prefix: str = "JOB#") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = stack.gateway.clients.get("dynamodb").query(
        TableName=stack.gateway.settings.table_name,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
        ExpressionAttributeValues={":pk": {"S": f"ACCOUNT#{account.id}"}, ":prefix": {"S": prefix}},
        ConsistentRead=True,
    )["Items"]
    return items


def put(gateway: Gateway, key: str, *lines: bytes) -> None:
    gateway.clients.get("s3").put_object(Bucket=gateway.settings.blob_bucket, Key=key, Body=b"\n".join(lines))


@pytest.mark.parametrize("event", REQUESTS)
def test_a_request_becomes_a_job_of_the_account(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context, event: str
) -> None:
    answer = handler(event_of(event, account), context)
    assert answer in (None, {"batchItemFailures": []})
    (job,) = jobs_of(stack, account)
    assert (job["status"]["S"], job["model"]["S"], job["key"]["S"]) == (
        "queued",
        MODEL,
        {"s": "sqs", "b": "events"}[event[0]],
    )


@pytest.mark.parametrize("event", REQUESTS)
def test_the_same_request_twice_is_one_job(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context, event: str
) -> None:
    handler(event_of(event, account), context)
    handler(event_of(f"{event}_duplicate", account), context)
    assert len(jobs_of(stack, account)) == 1


@pytest.mark.parametrize("event", REQUESTS)
def test_a_request_that_can_never_succeed_is_logged_and_let_go(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context, event: str
) -> None:
    assert handler(event_of(f"{event}_bad", account), context) in (None, {"batchItemFailures": []})
    assert jobs_of(stack, account) == []


def test_good_requests_beside_a_bad_one_become_jobs(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context
) -> None:
    assert handler(event_of("sqs_request_partial", account), context) == {"batchItemFailures": []}
    assert len(jobs_of(stack, account)) == 2


def test_a_request_without_an_account_is_let_go(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context
) -> None:
    event = event_of("sqs_request", account)
    event["Records"][0]["messageAttributes"] = {}
    assert handler(event, context) == {"batchItemFailures": []}
    assert jobs_of(stack, account) == []


def test_a_dropped_file_becomes_one_batch_however_often_it_is_told(
    stack: Stack, account: OpenedAccount, handler: Handler, gateway: Gateway, context: Context
) -> None:
    put(gateway, f"inbox/{account.id}/questions.jsonl", json.dumps(GOOD).encode())
    handler(event_of("s3_object_created", account), context)
    handler(event_of("s3_object_created_duplicate", account), context)
    (batch,) = jobs_of(stack, account, "BATCH#")
    assert batch["status"]["S"] == "validating"


def test_a_file_dropped_for_nobody_is_let_go(account: OpenedAccount, handler: Handler, context: Context) -> None:
    assert handler(event_of("s3_object_created_bad", account), context) is None


def test_a_file_with_broken_lines_becomes_a_batch_in_which_they_alone_fail(
    stack: Stack, account: OpenedAccount, handler: Handler, gateway: Gateway, context: Context
) -> None:
    put(gateway, f"inbox/{account.id}/partly.jsonl", b"{", json.dumps(GOOD).encode())
    handler(event_of("s3_object_created_partial", account), context)
    (item,) = jobs_of(stack, account, "BATCH#")
    stack.run(gateway.split_batch(account.id, item["id"]["S"]))
    batch = stack.run(gateway.batches.find(account.id, item["id"]["S"]))
    assert (batch.status, batch.total, batch.failed) == ("in_progress", 2, 1)


def start_batch(stack: Stack, gateway: Gateway, account: OpenedAccount, batch_id: str) -> Batch:
    adding = gateway.files.add(account.id, filename="a.jsonl", purpose="batch", data=json.dumps(GOOD).encode())
    asked = BatchRequest(input_file_id=stack.run(adding).id, endpoint="/v1/chat/completions", batch_id=batch_id)
    return stack.run(gateway.batches.create(asked, key=ApiKey(account_id=account.id, key_id="k", hash=None)))


def test_steps_of_batches_are_taken_and_what_can_not_be_read_stays(
    stack: Stack, account: OpenedAccount, handler: Handler, gateway: Gateway, context: Context
) -> None:
    ids = ["batch_000000000000000000000001", "batch_000000000000000000000002"]
    batches = [start_batch(stack, gateway, account, batch_id) for batch_id in ids]
    event = event_of("sqs_batch_step_partial", account)
    answer = handler(event, context)
    assert [failure["itemIdentifier"] for failure in answer["batchItemFailures"]] == [event["Records"][1]["messageId"]]
    split = [stack.run(gateway.batches.find(account.id, batch.id)) for batch in batches]
    assert [(batch.status, batch.total) for batch in split] == [("in_progress", 1)] * 2


def test_a_step_delivered_twice_is_taken_once(
    stack: Stack, account: OpenedAccount, handler: Handler, gateway: Gateway, context: Context
) -> None:
    batch = start_batch(stack, gateway, account, "batch_000000000000000000000001")
    assert handler(event_of("sqs_batch_step_duplicate", account), context) == {"batchItemFailures": []}
    assert stack.run(gateway.batches.find(account.id, batch.id)).total == 1
