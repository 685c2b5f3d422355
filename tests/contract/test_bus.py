"""The promises of `ports.Bus` on EventBridge: what is published reaches who listens, and a loss breaks nothing."""

from __future__ import annotations

import json
import logging

import pytest
from gateway.adapters.aws.bus import EventBridgeBus
from gateway.adapters.aws.clients import Clients

from tests.contract.storage import BUS, storage_clients, take_all
from tests.support.aws import Aws

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def storage(aws: Aws) -> Clients:
    return storage_clients(aws)


def listen(storage: Clients, kind: str) -> str:
    """The URL of a queue that gets the bus's events of this kind."""
    sqs, events = storage.get("sqs"), storage.get("events")
    url: str = sqs.create_queue(QueueName=f"listener-{kind}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=f"of-{kind}", EventBusName=BUS, EventPattern=json.dumps({"detail-type": [kind]}))
    events.put_targets(Rule=f"of-{kind}", EventBusName=BUS, Targets=[{"Id": "queue", "Arn": arn}])
    return url


async def test_an_event_reaches_who_listens_for_its_kind(storage: Clients) -> None:
    url, other = listen(storage, "QuotaReached"), listen(storage, "ModelStateChanged")
    await EventBridgeBus(storage, BUS).publish("QuotaReached", {"account": "a"})
    (message,) = take_all(storage, url)
    assert (message["Body"]["source"], message["Body"]["detail"]) == ("studiolm", {"account": "a"})
    assert take_all(storage, other) == []


async def test_an_event_that_can_not_be_published_is_logged_and_no_error(
    storage: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="gateway"):
        await EventBridgeBus(storage, "no-such-bus").publish("QuotaReached", {})
    assert "QuotaReached" in caplog.text
