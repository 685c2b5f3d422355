"""The template's data resources, made at an AWS endpoint: tables, queues, buckets, buses.

Each is made when it is first asked for, so that a queue finds its dead-letter queue. Properties that change
nothing here (encryption, backups, protection) are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import boto3

from infra.local.failure import CannotStart
from infra.local.template import Template

_TABLE_PROPERTIES = (
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
)
_QUEUE_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DelaySeconds",
    "FifoQueue",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "VisibilityTimeout",
)


@dataclass(frozen=True, slots=True)
class Made:
    """What `Ref` and `Fn::GetAtt` tell of a resource."""

    reference: str
    attributes: Mapping[str, str]


class Resources:
    """Makes the data resources of a template; the template's lookup."""

    def __init__(self, template: Template, *, stack_name: str) -> None:
        self._template = template
        self._stack_name = stack_name
        self._client: Callable[[str], Any] = lru_cache(boto3.client)
        self._makers: dict[str, Callable[[str, dict[str, Any]], Made]] = {
            "AWS::DynamoDB::Table": self._make_table,
            "AWS::SQS::Queue": self._make_queue,
            "AWS::S3::Bucket": self._make_bucket,
            "AWS::Events::EventBus": self._make_bus,
        }
        self._definitions = dict(template.resources(*self._makers))
        self._made: dict[str, Made] = {}

    def make_all(self) -> None:
        """Make what nobody asked for yet."""
        for logical_id in self._definitions:
            self._get(logical_id)

    def reference(self, logical_id: str) -> str:
        """See Lookup; a resource of another kind is known by the name that the stack would give it."""
        if logical_id not in self._definitions:
            return f"{self._stack_name}-{logical_id}"
        return self._get(logical_id).reference

    def attribute(self, logical_id: str, name: str) -> str:
        """See Lookup. Raises CannotStart for what only a real stack knows."""
        value = self._get(logical_id).attributes.get(name) if logical_id in self._definitions else None
        if value is None:
            raise CannotStart(f"{logical_id}.{name} of template.yaml is not known to the local stack.")
        return value

    def _get(self, logical_id: str) -> Made:
        if logical_id not in self._made:
            definition = self._definitions[logical_id]
            properties = self._template.resolve(definition.get("Properties", {}), self)
            self._made[logical_id] = self._makers[definition["Type"]](logical_id, properties)
        return self._made[logical_id]

    def _make_table(self, logical_id: str, properties: dict[str, Any]) -> Made:
        name = properties.get("TableName", f"{self._stack_name}-{logical_id}")
        dynamodb = self._client("dynamodb")
        arguments = {key: properties[key] for key in _TABLE_PROPERTIES if key in properties}
        if "StreamSpecification" in properties:
            arguments["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
        table = dynamodb.create_table(TableName=name, **arguments)["TableDescription"]
        if "TimeToLiveSpecification" in properties:
            dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])
        return Made(name, {"Arn": table["TableArn"], "StreamArn": table.get("LatestStreamArn", "")})

    def _make_queue(self, logical_id: str, properties: dict[str, Any]) -> Made:
        name = properties.get("QueueName", f"{self._stack_name}-{logical_id}")
        if properties.get("FifoQueue") and not name.endswith(".fifo"):
            name += ".fifo"
        attributes = {key: _text(properties[key]) for key in _QUEUE_ATTRIBUTES if key in properties}
        sqs = self._client("sqs")
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return Made(url, {"Arn": arn, "QueueName": name, "QueueUrl": url})

    def _make_bucket(self, logical_id: str, properties: dict[str, Any]) -> Made:
        name = properties.get("BucketName", f"{self._stack_name}-{logical_id}".lower())
        s3 = self._client("s3")
        s3.create_bucket(Bucket=name)
        if "NotificationConfiguration" in properties:  # the one kind that templates of ours use: all to EventBridge
            s3.put_bucket_notification_configuration(
                Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
            )
        return Made(name, {"Arn": f"arn:aws:s3:::{name}"})

    def _make_bus(self, _logical_id: str, properties: dict[str, Any]) -> Made:
        name = properties["Name"]
        arn = self._client("events").create_event_bus(Name=name)["EventBusArn"]
        return Made(name, {"Arn": arn, "Name": name})


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
