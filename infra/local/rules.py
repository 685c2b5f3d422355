"""Rules of buses that call functions: made at an AWS endpoint with a queue for a target, since no function is there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import boto3

from infra.local.functions import RuleSource


def make_rules(rules: Iterable[RuleSource]) -> None:
    """Make each rule and the queue that its events wait in."""
    sqs, events = boto3.client("sqs"), boto3.client("events")
    given_up = _make_queue(sqs, "local-events-given-up")
    for rule in rules:
        arn = _make_queue(
            sqs,
            rule.queue_name,
            VisibilityTimeout="900",
            RedrivePolicy=json.dumps({"deadLetterTargetArn": given_up, "maxReceiveCount": 3}),
        )
        events.put_rule(Name=rule.name, EventBusName=rule.bus, EventPattern=rule.pattern)
        events.put_targets(Rule=rule.name, EventBusName=rule.bus, Targets=[{"Id": "queue", "Arn": arn}])


def _make_queue(sqs: Any, name: str, **attributes: str) -> str:
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return arn
