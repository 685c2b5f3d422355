"""Dead letters: seen, and sent back."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest

from tests.cli.conftest import Deployment, Operator

NAME = "studiolm-OutboxDeadLetterQueue"


@pytest.fixture
def sqs(deployment: Deployment, operator: Operator) -> Any:
    """SQS of the deployment, with its outbox and the outbox's dead letters empty."""
    client = botocore.session.get_session().create_client("sqs")
    for url in (deployment.queue_url, client.get_queue_url(QueueName=NAME)["QueueUrl"]):
        take_all(client, url)
    return client


def take_all(client: Any, url: str) -> list[dict[str, Any]]:
    """The messages of a queue, which are gone from it then."""
    taken: list[dict[str, Any]] = []
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get(
        "Messages"
    ):
        for message in messages:
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        taken += messages
    return taken


def test_dead_letters_are_listed_with_where_they_came_from(sqs: Any, operator: Operator) -> None:
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=NAME)["QueueUrl"], MessageBody="a")
    (queue,) = [queue for queue in json.loads(operator.output("dlq", "list", "--json")) if queue["name"] == NAME]
    assert queue["messages"] == 1
    assert queue["sources"] == ["studiolm-OutboxQueue"]
    assert NAME in operator.output("dlq", "list")


def test_a_redrive_sends_all_back_as_they_were_and_leaves_nothing(
    sqs: Any, operator: Operator, deployment: Deployment
) -> None:
    dead = sqs.get_queue_url(QueueName=NAME)["QueueUrl"]
    attribute = {"account": {"DataType": "String", "StringValue": "acct"}}
    for number in range(12):
        sqs.send_message(QueueUrl=dead, MessageBody=f"letter {number}", MessageAttributes=attribute)
    assert operator.values("dlq", "redrive", NAME) == {"MOVED": "12"}
    assert take_all(sqs, dead) == []
    back = take_all(sqs, deployment.queue_url)
    assert sorted(message["Body"] for message in back) == sorted(f"letter {number}" for number in range(12))
    assert all(message["MessageAttributes"]["account"]["StringValue"] == "acct" for message in back)


def test_a_queue_that_is_not_there_is_refused_with_those_that_are(sqs: Any, operator: Operator) -> None:
    assert NAME in operator.refusal("dlq", "redrive", "studiolm-Nothing")
