"""A batch through OpenAI's own client, and every other way in, on the running stack with the real model."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai.types import Batch

from infra.local.credentials import STACK_NAME
from tests.support.bus_listener import BusListener
from tests.support.local_stack import MODEL, LocalStack, bearer

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

LINES, BAD = 200, 3
PATIENCE_S = 800
ANSWERED = ("completed", "failed", "expired", "cancelled")


@pytest.fixture
def client(stack: LocalStack, account_key: str) -> Iterator[OpenAI]:
    with OpenAI(api_key=account_key, base_url=f"{stack.base_url}/v1", max_retries=0) as client:
        yield client


def line(number: int) -> str:
    messages = [{"role": "user", "content": f"Say {number}."}]
    body = {"model": MODEL, "messages": messages, "max_tokens": 2}
    return json.dumps({"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})


def await_end(client: OpenAI, batch: Batch) -> Batch:
    deadline = time.monotonic() + PATIENCE_S
    while batch.status not in ANSWERED and time.monotonic() < deadline:
        time.sleep(1)
        batch = client.batches.retrieve(batch.id)
    return batch


def until(found: Any) -> Any:
    """What `found` gives once it gives something."""
    deadline = time.monotonic() + 60
    while not (value := found()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return value


def test_a_batch_of_two_hundred_lines_with_three_broken_ones(
    client: OpenAI, stack: LocalStack, account_key: str
) -> None:
    lines = [line(number) for number in range(LINES)]
    lines[20], lines[90], lines[150] = '{"custom_id":', line(3), json.dumps({"custom_id": "r150", "body": {}})
    file = client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"run": "1"}
    )
    batch = await_end(client, batch)
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert batch.request_counts.model_dump() == {"total": LINES, "completed": LINES - BAD, "failed": BAD}
    assert batch.output_file_id is not None
    assert batch.error_file_id is not None
    answers = [json.loads(text) for text in client.files.content(batch.output_file_id).text.splitlines()]
    errors = [json.loads(text) for text in client.files.content(batch.error_file_id).text.splitlines()]
    assert {answer["custom_id"] for answer in answers} == {f"r{n}" for n in range(LINES) if n not in (20, 90, 150)}
    assert [error["error"]["line"] for error in errors] == [21, 91, 151]
    used = [answer["response"]["body"]["usage"] for answer in answers]
    today = usage_of(stack, account_key)
    assert today["requests"] == LINES - BAD
    assert today["total_tokens"] == sum(usage["total_tokens"] for usage in used)
    assert today["completion_tokens"] == sum(usage["completion_tokens"] for usage in used) <= 2 * (LINES - BAD)


def usage_of(stack: LocalStack, key: str) -> dict[str, Any]:
    report: dict[str, Any] = httpx.get(f"{stack.base_url}/v1/usage", headers=bearer(key)).raise_for_status().json()
    today: dict[str, Any] = report["today"]
    return today


def test_a_file_dropped_into_the_inbox_has_its_answers_in_the_outbox(aws: Any, account_key: str) -> None:
    account_id = account_key.split("-")[1]
    s3, bucket = aws("s3"), f"{STACK_NAME}-blobs"
    s3.put_object(Bucket=bucket, Key=f"inbox/{account_id}/two.jsonl", Body=f"{line(1)}\n{{\n{line(2)}".encode())

    def written() -> list[str]:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=f"outbox/{account_id}/").get("Contents", [])
        return sorted(entry["Key"] for entry in found) if len(found) == 2 else []

    assert until(written) == [f"outbox/{account_id}/two.errors.jsonl", f"outbox/{account_id}/two.output.jsonl"]
    answers = s3.get_object(Bucket=bucket, Key=f"outbox/{account_id}/two.output.jsonl")["Body"].read().splitlines()
    assert {json.loads(answer)["custom_id"] for answer in answers} == {"r1", "r2"}


def test_an_event_and_a_message_become_jobs_and_what_they_used_leaves_as_events(aws: Any, account_key: str) -> None:
    account_id = account_key.split("-")[1]
    sqs, events = aws("sqs"), aws("events")
    listener = BusListener(sqs=sqs, events=events, bus=STACK_NAME, account_id=account_id)

    request = json.loads(line(7))["body"]
    detail = json.dumps({"account": account_id, "request": request})
    entry = {"Source": "test", "DetailType": "GenerationRequested", "Detail": detail, "EventBusName": STACK_NAME}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    sqs.send_message(
        QueueUrl=sqs.get_queue_url(QueueName=f"{STACK_NAME}-RequestsQueue")["QueueUrl"],
        MessageBody=json.dumps(request),
        MessageAttributes={"account": {"DataType": "String", "StringValue": account_id}},
    )
    told = listener.hear(4)
    kinds = sorted(kind for kind, _ in told)
    assert kinds == ["GenerationCompleted"] * 2 + ["UsageRecorded"] * 2
    assert {detail["key"] for kind, detail in told if kind == "UsageRecorded"} == {"sqs", "events"}


def test_a_job_is_answered_by_the_real_model(stack: LocalStack, account_key: str) -> None:
    with httpx.Client(base_url=stack.base_url, headers=bearer(account_key)) as http:
        made = http.post("/v1/jobs", json=json.loads(line(5))["body"])
        assert made.status_code == 202

        def ended() -> dict[str, Any] | None:
            job: dict[str, Any] = http.get(f"/v1/jobs/{made.json()['id']}").json()
            return job if job["ended"] else None

        job = until(ended)
    assert job["status"] == "succeeded"
    assert usage_of(stack, account_key)["total_tokens"] == job["result"]["usage"]["total_tokens"]
