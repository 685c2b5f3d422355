"""A worker process killed in the middle of a batch, and another in its place: nothing missing, nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from gateway.application.batching import BatchRequest
from gateway.domain.batches import Batch
from gateway.domain.keys import parse_key

from tests.functions.loading import ROOT
from tests.support.backstage import Backstage
from tests.support.engine_pieces import whole
from tests.support.eventually import eventually
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import MODEL, OpenedAccount, Stack

GOOD, BAD, TOKENS = 197, 3, 12
ENGINE_PAUSE_S = 0.06


def batch_file() -> bytes:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
    lines = [json.dumps({"custom_id": f"r{number}", "body": body}) for number in range(GOOD)]
    lines[10:10] = ['{"custom_id": "broken"', json.dumps({"custom_id": "r0", "body": body}), "[]"]
    return "\n".join(lines).encode()


@contextmanager
def worker(stack: Stack, queue_name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process; killed at the end of the block at the latest."""
    function = stack.functions["WorkerFunction"]
    # a claim is held for line, generation and a minute: with these it is as short as it can be
    variables = {**stack.environment, **function.environment, "REQUEST_TIMEOUT_S": "20", "LINE_WAIT_S": "5"}
    told = json.dumps(replace(function, environment={}).as_json())
    command = [sys.executable, "-m", "tests.functions.worker_process", told, queue_name]
    process = subprocess.Popen(command, env=variables, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def let_time_pass(stack: Stack, backstage: Backstage, batch: Batch) -> int:
    """As if what the killed process held were over: its claims and its slots; returns how many claims there were."""
    gateway, dead = backstage.gateway, 0
    for line in range(1, GOOD + BAD + 1):
        key = {"pk": {"S": f"BATCH#{batch.id}"}, "sk": {"S": f"LINE#{line:09d}"}}
        try:
            gateway.clients.get("dynamodb").update_item(
                TableName=gateway.settings.table_name,
                Key=key,
                UpdateExpression="SET claimed_until = :past",
                ConditionExpression="#status = :running",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={":past": {"N": "1"}, ":running": {"S": "running"}},
            )
            dead += 1
        except gateway.clients.get("dynamodb").exceptions.ConditionalCheckFailedException:
            continue
    stack.run(gateway.lines.remove_dead(stack.line(), now_s=gateway.clock.now_s() + 3600))
    return dead


@pytest.mark.timeout(900)
def test_a_killed_worker_s_batch_is_completed_by_the_next_and_no_line_is_billed_twice(stack: Stack) -> None:
    engine = ScriptedEngine([Script(pieces=whole("Hello", " you"), pause_s=ENGINE_PAUSE_S)])
    stack.engine.engine = engine
    stack.run(stack.gateway.watch_models([stack.gateway.catalogue.models[MODEL]]))
    account = stack.open_account(requests_per_minute=10_000)
    backstage = Backstage(stack)
    gateway = backstage.gateway
    queue_url = gateway.settings.jobs_queue_url_prefix + gateway.catalogue.models[MODEL].resource_slug
    see_messages_again_soon(gateway.clients.get("sqs"), queue_url)
    batch = start_batch(stack, backstage, account)
    backstage.take_steps()

    def counts() -> Batch:
        return stack.run(gateway.batches.find(account.id, batch.id))

    queue_name = queue_url.rpartition("/")[2]
    with worker(stack, queue_name):
        assert in_time(lambda: counts().completed >= 40 and engine.open_calls > 1)
    killed = counts()
    assert killed.completed < GOOD
    dead = let_time_pass(stack, backstage, batch)
    with worker(stack, queue_name):
        assert in_time(lambda: counts().all_ended)
    # the second was killed as well, perhaps before it told of the last line's end: upkeep looks every minute
    stack.run(gateway.finish_batch.remind())
    backstage.take_steps()
    done = counts()
    assert (done.status, done.total, done.completed, done.failed) == ("completed", GOOD + BAD, GOOD, BAD)
    assert dead > 0, "it was killed while it generated"
    records = stack.usage_records(account)
    assert Counter(record["total_tokens"] for record in records if record["total_tokens"]) == {TOKENS: GOOD}
    answers = lines_of(stack, backstage, account, done.output_file_id)
    assert len({answer["custom_id"] for answer in answers}) == len(answers) == GOOD
    assert sum(answer["response"]["body"]["usage"]["total_tokens"] for answer in answers) == GOOD * TOKENS


def see_messages_again_soon(sqs: Any, queue_url: str) -> None:
    """What a killed process had taken is seen again at once, and some are delivered twice by it, however often that is:
    on a slow machine too often for the queue's own redrive policy."""
    found = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])["Attributes"]
    policy = {**json.loads(found["RedrivePolicy"]), "maxReceiveCount": 1000}
    sqs.set_queue_attributes(
        QueueUrl=queue_url, Attributes={"VisibilityTimeout": "3", "RedrivePolicy": json.dumps(policy)}
    )


def in_time(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true while a batch may take: longer than other tests have patience."""
    return any(eventually(condition) for _ in range(12))


def start_batch(stack: Stack, backstage: Backstage, account: OpenedAccount) -> Batch:
    gateway, key = backstage.gateway, parse_key(account.key)
    assert key is not None
    adding = gateway.files.add(account.id, filename="in.jsonl", purpose="batch", data=batch_file())
    asked = BatchRequest(input_file_id=stack.run(adding).id, endpoint="/v1/chat/completions")
    return stack.run(gateway.batches.create(asked, key=key))


def lines_of(stack: Stack, backstage: Backstage, account: OpenedAccount, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id is not None
    file = stack.run(backstage.gateway.files.find(account.id, file_id))
    return [json.loads(line) for line in stack.run(backstage.gateway.blobs.read(file.blob_key)).splitlines()]
