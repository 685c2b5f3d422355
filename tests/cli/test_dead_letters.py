"""Dead letters: seen, and sent back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import botocore.session
import pytest
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.queues import SqsJobQueue
from gateway.catalogue import load_catalogue
from gateway.domain.jobs import JobRef

from tests.cli.conftest import Deployment, Operator

NAME = "studiolm-OutboxDeadLetterQueue"
JOBS = "studiolm-JobsDeadLetterQueue"


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
    named = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"]}
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, **named).get("Messages"):
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
    assert operator.values("dlq", "redrive", NAME) == {"MOVED": "12", "LEFT": "0"}
    assert take_all(sqs, dead) == []
    back = take_all(sqs, deployment.queue_url)
    assert sorted(message["Body"] for message in back) == sorted(f"letter {number}" for number in range(12))
    assert all(message["MessageAttributes"]["account"]["StringValue"] == "acct" for message in back)


def test_dead_letters_of_several_queues_go_back_each_to_its_own(
    sqs: Any, operator: Operator, deployment: Deployment
) -> None:
    models = list(load_catalogue().models.values())
    prefix = deployment.queue_url.removesuffix("OutboxQueue") + "jobs-"
    queue = SqsJobQueue(clients=Clients(), jobs_url_prefix=prefix, intake_url="", callbacks_url="")
    for model in models:
        asyncio.run(queue.send_job(model, JobRef(account_id="acct", job_id=f"job_{model.id}")))
        asyncio.run(queue.send_jobs(model, [JobRef(account_id="acct", job_id=f"job_{model.id}-2", batch_id="b")]))
        die(sqs, prefix + model.resource_slug)
    (listed,) = [queue for queue in json.loads(operator.output("dlq", "list", "--json")) if queue["name"] == JOBS]
    assert listed["messages"] == 2 * len(models)
    assert listed["sources"] == sorted(f"studiolm-jobs-{model.resource_slug}" for model in models)
    assert operator.values("dlq", "redrive", JOBS) == {"MOVED": str(2 * len(models)), "LEFT": "0"}
    assert take_all(sqs, sqs.get_queue_url(QueueName=JOBS)["QueueUrl"]) == []
    for model in models:
        back = take_all(sqs, prefix + model.resource_slug)
        ids = sorted(json.loads(message["Body"])["job_id"] for message in back)
        assert ids == [f"job_{model.id}", f"job_{model.id}-2"]
        assert {message["Attributes"]["MessageGroupId"] for message in back} == {"acct"}


def die(sqs: Any, url: str) -> None:
    """Receive what is in a queue as often as its redrive policy bears, and once more: then it is a dead letter."""
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    for _ in range(int(json.loads(attributes["RedrivePolicy"])["maxReceiveCount"])):
        assert sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)["Messages"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)


def test_an_event_that_was_in_no_queue_stays_and_the_operator_is_told(sqs: Any, operator: Operator) -> None:
    dead = sqs.get_queue_url(QueueName="studiolm-IntakeDeadLetterQueue")["QueueUrl"]
    for body in ({"account_id": "a"}, {"requestPayload": {"detail-type": "Object Created"}, "responsePayload": {}}):
        sqs.send_message(QueueUrl=dead, MessageBody=json.dumps(body))
    done = operator.run("dlq", "redrive", "studiolm-IntakeDeadLetterQueue")
    assert done.stdout.splitlines() == ["MOVED=1", "LEFT=1"]
    assert "an event that a function could not handle" in done.stderr
    (back,) = take_all(sqs, sqs.get_queue_url(QueueName="studiolm-IntakeQueue")["QueueUrl"])
    assert json.loads(back["Body"]) == {"account_id": "a"}
    sqs.purge_queue(QueueUrl=dead)


def test_a_queue_that_is_not_there_is_refused_with_those_that_are(sqs: Any, operator: Operator) -> None:
    assert NAME in operator.refusal("dlq", "redrive", "studiolm-Nothing")
