"""What a stack's bus tells of one account, heard through a queue of the listener's own."""

from __future__ import annotations

import json
import time
from typing import Any

_PATIENCE_S = 90


class BusListener:
    """Hears from now on."""

    def __init__(self, *, sqs: Any, events: Any, bus: str, account_id: str) -> None:
        self._sqs = sqs
        self._queue = sqs.create_queue(QueueName=f"listener-{account_id}")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        pattern = json.dumps({"source": ["studiolm"], "detail": {"account": [account_id]}})
        events.put_rule(Name=f"of-{account_id}", EventBusName=bus, EventPattern=pattern)
        events.put_targets(
            Rule=f"of-{account_id}", EventBusName=bus, Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}]
        )

    def hear(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        """So many events, kind and detail, or as many as came in time."""
        told: list[tuple[str, dict[str, Any]]] = []
        deadline = time.monotonic() + _PATIENCE_S
        while len(told) < count and time.monotonic() < deadline:
            received = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=2)
            for message in received.get("Messages", []):
                event = json.loads(message["Body"])
                told.append((event["detail-type"], event["detail"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return told
