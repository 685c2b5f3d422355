"""The local pollers and pipes over moto: nothing blocks, nothing is lost, what falls out of a filter falls."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from infra.local.functions import Function, RuleSource
from infra.local.pipes import Pipe, fill
from infra.local.pumping import Messages, deliver_events, pump
from infra.local.rules import make_rules
from tests.support.aws import environment_of
from tests.support.eventually import eventually
from tests.support.moto_process import empty, moto_process

RECORD = {
    "eventName": "INSERT",
    "dynamodb": {
        "Keys": {"pk": {"S": "ACCOUNT#a"}, "sk": {"S": "USAGE#20261123#r"}},
        "NewImage": {"account": {"S": 'a"b'}, "tokens": {"N": "12"}},
    },
}
PIPE = Pipe(
    stream_arn="arn:stream",
    bus_arn="arn:bus",
    patterns=['{"eventName": ["INSERT"], "dynamodb": {"Keys": {"sk": {"S": [{"prefix": "USAGE#"}]}}}}'],
    source="studiolm",
    detail_type="UsageRecorded",
    input='{"account": <$.dynamodb.NewImage.account.S>, "tokens": <$.dynamodb.NewImage.tokens.N>}',
)


class StopPumping(Exception):
    """The test has seen enough."""


class Stopping:
    """An SQS client that ends the pump once the test says so; it does not wait for messages."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs
        self.stopped = threading.Event()

    def receive_message(self, **arguments: Any) -> Any:
        if self.stopped.is_set():
            raise StopPumping
        return self._sqs.receive_message(**{**arguments, "WaitTimeSeconds": 0})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sqs, name)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_process() as url:
        yield url


@pytest.fixture
def aws(moto: str) -> Iterator[None]:
    empty(moto)
    with environment_of(moto):
        yield


@pytest.fixture
def sqs(aws: None) -> Stopping:
    client = boto3.client("sqs")
    client.create_queue(QueueName="work")
    return Stopping(client)


def left(sqs: Stopping) -> int:
    attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url(sqs), AttributeNames=attributes)["Attributes"]
    return sum(int(found[name]) for name in attributes)


def url(sqs: Stopping) -> str:
    found: str = sqs.get_queue_url(QueueName="work")["QueueUrl"]
    return found


def start(sqs: Stopping, deliver: Any, *, concurrency: int) -> threading.Thread:
    def run() -> None:
        with pytest.raises(StopPumping):
            pump("work", deliver, batch_size=1, concurrency=concurrency, sqs=sqs)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_slow_message_holds_up_no_other_and_no_more_run_than_may(sqs: Stopping) -> None:
    slow, running, most, done = threading.Event(), set[str](), [0], set[str]()

    def deliver(messages: Messages) -> set[str]:
        (message,) = messages
        running.add(message["MessageId"])
        most[0] = max(most[0], len(running))
        if message["Body"] == "slow":
            slow.wait(20)
        running.discard(message["MessageId"])
        done.add(message["Body"])
        return set()

    for body in ("slow", *map(str, range(10))):
        sqs.send_message(QueueUrl=url(sqs), MessageBody=body)
    thread = start(sqs, deliver, concurrency=2)
    assert eventually(lambda: len(done) == 10)
    assert "slow" not in done
    slow.set()
    assert eventually(lambda: left(sqs) == 0)
    sqs.stopped.set()
    thread.join()
    assert most[0] == 2


def test_what_a_handler_keeps_or_raises_for_stays_in_the_queue(sqs: Stopping) -> None:
    seen: list[str] = []

    def deliver(messages: Messages) -> set[str]:
        (message,) = messages
        seen.append(message["Body"])
        if message["Body"] == "raise":
            raise ValueError
        return {message["MessageId"]} if message["Body"] == "keep" else set()

    for body in ("keep", "raise", "good"):
        sqs.send_message(QueueUrl=url(sqs), MessageBody=body)
    thread = start(sqs, deliver, concurrency=1)
    assert eventually(lambda: len(seen) == 3 and left(sqs) == 2)
    sqs.stopped.set()
    thread.join()


def test_an_event_that_a_rule_matches_reaches_its_function_as_it_is(sqs: Stopping) -> None:
    rule = RuleSource("Taken", "default", json.dumps({"detail-type": ["Asked"]}))
    make_rules([rule])
    events = boto3.client("events")
    for kind in ("Asked", "Other"):
        events.put_events(Entries=[{"Source": "test", "DetailType": kind, "Detail": '{"a": 1}'}])
    queue = sqs.get_queue_url(QueueName=rule.queue_name)["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    handled: list[dict[str, Any]] = []
    function = Function("Intake", "/", 3, {}, (), (), (rule,), ())
    assert deliver_events(function, lambda event, _context: handled.append(event))(messages) == set()
    assert [(event["detail-type"], event["detail"]) for event in handled] == [("Asked", {"a": 1})]


def test_a_record_that_a_pipe_s_filter_takes_becomes_its_event() -> None:
    entry = PIPE.event_of(RECORD)
    assert entry is not None
    assert json.loads(entry["Detail"]) == {"account": 'a"b', "tokens": "12"}
    assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == ("studiolm", "UsageRecorded", "arn:bus")


@pytest.mark.parametrize("change", [{"eventName": "MODIFY"}, {"dynamodb": {"Keys": {"sk": {"S": "DAY#20261123"}}}}])
def test_a_record_that_no_filter_takes_falls(change: dict[str, Any]) -> None:
    assert PIPE.event_of({**RECORD, **change}) is None


def test_what_a_record_does_not_have_is_an_empty_text() -> None:
    assert fill('{"a": <$.dynamodb.NewImage.none.S>}', RECORD) == '{"a": ""}'
