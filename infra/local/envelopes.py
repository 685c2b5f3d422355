"""The events that Lambda hands to a function, in AWS's own shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from infra.local.credentials import ACCOUNT_ID, REGION


def sqs_event(messages: Sequence[Mapping[str, Any]], *, queue_arn: str) -> dict[str, Any]:
    """The event of a batch that `ReceiveMessage` gave with all its attributes."""
    return {"Records": [_record(message, queue_arn) for message in messages]}


def _record(message: Mapping[str, Any], queue_arn: str) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: {
                "dataType": attribute["DataType"],
                "stringValue": attribute.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
            }
            for name, attribute in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


def failed_message_ids(answer: Any, batch: Sequence[str]) -> set[str]:
    """The messages of `batch` (ids) that a handler's answer keeps in the queue.

    As Lambda reads `batchItemFailures`: nothing or an empty list is success; an id that is empty or unknown, or
    an answer of another shape, fails the whole batch.
    """
    if not answer:
        return set()
    if not isinstance(answer, Mapping):
        return set(batch)
    ids = {str(failure.get("itemIdentifier")) for failure in answer.get("batchItemFailures") or ()}
    return ids if ids <= set(batch) else set(batch)


def scheduled_event(*, rule: str, event_id: str, now: datetime) -> dict[str, Any]:
    """The event of an EventBridge rule with a schedule; `now` is in UTC."""
    return {
        "version": "0",
        "id": event_id,
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT_ID,
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/{rule}"],
        "detail": {},
    }
