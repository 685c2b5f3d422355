"""The pure parts of the event pump: envelopes, and what a handler's answer keeps in the queue."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from infra.local.context import Context
from infra.local.envelopes import failed_message_ids, scheduled_event, sqs_event

ARN = "arn:aws:sqs:us-east-1:123456789012:studiolm-Queue"


def test_a_received_message_becomes_lambdas_record() -> None:
    message = {
        "MessageId": "m1",
        "ReceiptHandle": "r1",
        "Body": "{}",
        "MD5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1"},
        "MessageAttributes": {"trace": {"DataType": "String", "StringValue": "t"}},
    }
    assert sqs_event([message], queue_arn=ARN) == {
        "Records": [
            {
                "messageId": "m1",
                "receiptHandle": "r1",
                "body": "{}",
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1"},
                "messageAttributes": {
                    "trace": {"dataType": "String", "stringValue": "t", "stringListValues": [], "binaryListValues": []}
                },
                "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
                "eventSource": "aws:sqs",
                "eventSourceARN": ARN,
                "awsRegion": "us-east-1",
            }
        ]
    }


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "b"}]}, {"b"}),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ({"batchItemFailures": [{}]}, {"a", "b"}),
        ({"batchItemFailures": None}, set()),
        ("done", {"a", "b"}),
    ],
)
def test_a_handlers_answer_keeps_what_lambda_would_keep(answer: Any, kept: set[str]) -> None:
    assert failed_message_ids(answer, ["a", "b"]) == kept


def test_a_schedules_event_names_its_rule_and_minute() -> None:
    event = scheduled_event(rule="UpkeepEveryMinute", event_id="e", now=datetime(2026, 11, 23, 6, 7, 8, tzinfo=UTC))
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
    assert event["time"] == "2026-11-23T06:07:08Z"
    assert event["resources"] == ["arn:aws:events:us-east-1:123456789012:rule/UpkeepEveryMinute"]


def test_the_contexts_remaining_time_starts_at_the_timeout_and_never_is_negative() -> None:
    assert 0 < Context(function_name="f", aws_request_id="r", timeout_s=5).get_remaining_time_in_millis() <= 5000
    assert Context(function_name="f", aws_request_id="r", timeout_s=0).get_remaining_time_in_millis() == 0
