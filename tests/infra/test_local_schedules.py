"""EventBridge Scheduler as the local stack runs it: when schedules are due, and what is sent then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from infra.local.credentials import local_environment
from infra.local.cron import CronError, read_cron
from infra.local.moto_server import run_moto
from infra.local.schedules import NotRunHere, Schedules, Timing, read_timing

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
"""A Monday."""


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes clients of a moto of its own."""
    for name, value in local_environment({}).items():
        monkeypatch.setenv(name, value)
    with run_moto() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        made: dict[str, Any] = {}

        def client(service: str) -> Any:
            if service not in made:
                made[service] = boto3.client(service)
            return made[service]

        yield client
        for each in made.values():
            each.close()


def timing(expression: str, **fields: Any) -> Timing:
    return read_timing({"ScheduleExpression": expression, "CreationDate": NOON, **fields})


def due_minutes(expression: str, *, minutes: int, **fields: Any) -> list[str]:
    schedule, last, due = timing(expression, **fields), None, []
    for second in range(0, minutes * 60, 20):
        now = NOON + timedelta(seconds=second)
        if schedule.is_due(now, last):
            last = now
            due.append(now.strftime("%d %H:%M"))
    return due


@pytest.mark.parametrize(
    ("expression", "zone", "due"),
    [
        ("at(2026-11-23T12:10:00)", "UTC", ["23 12:10"]),
        ("at(2026-11-23T13:10:00)", "Europe/Berlin", ["23 12:10"]),
        ("rate(20 minutes)", "UTC", ["23 12:00", "23 12:20", "23 12:40"]),
        ("cron(0/30 * * * ? *)", "UTC", ["23 12:00", "23 12:30"]),
        ("cron(15 12 ? * MON-FRI *)", "UTC", ["23 12:15"]),
        ("cron(15 12 ? * SUN,TUE *)", "UTC", []),
        ("cron(5,7 13 23 NOV ? 2026)", "Europe/Berlin", ["23 12:05", "23 12:07"]),
        ("cron(0 3 * * ? *)", "UTC", []),
    ],
)
def test_a_schedule_is_due_when_its_expression_says_and_once_each_time(
    expression: str, zone: str, due: list[str]
) -> None:
    assert due_minutes(expression, minutes=60, ScheduleExpressionTimezone=zone) == due


def test_a_nightly_schedule_is_due_once_a_night() -> None:
    assert due_minutes("cron(0 3 * * ? *)", minutes=36 * 60) == ["24 03:00"]


def test_a_schedule_has_a_first_and_a_last_day() -> None:
    limits = {"StartDate": NOON + timedelta(minutes=10), "EndDate": NOON + timedelta(minutes=30)}
    assert due_minutes("rate(15 minutes)", minutes=60, **limits) == ["23 12:10", "23 12:25"]


@pytest.mark.parametrize(
    "expression", ["cron(0 3 L * ? *)", "cron(0 3 * * ?)", "cron(0 3 * * 2#1 *)", "cron(61 3 * * ? *)"]
)
def test_a_cron_that_is_not_known_here_is_told(expression: str) -> None:
    with pytest.raises(CronError):
        read_cron(expression)
    with pytest.raises(NotRunHere):
        timing(expression)


@pytest.mark.parametrize("expression", ["rate(5 weeks)", "at(tomorrow)", "daily"])
def test_what_is_no_schedule_is_told(expression: str) -> None:
    with pytest.raises(NotRunHere):
        timing(expression)


def create(aws: Any, name: str, target: dict[str, Any], **fields: Any) -> None:
    aws("scheduler").create_schedule(
        Name=name,
        Target={"RoleArn": "arn:aws:iam::123456789012:role/schedules", **target},
        FlexibleTimeWindow={"Mode": "OFF"},
        **{"ScheduleExpression": "at(2026-11-23T12:00:00)", **fields},
    )


def test_a_queue_gets_the_input_of_a_schedule_that_is_due_and_of_no_other(aws: Any) -> None:
    url = aws("sqs").create_queue(QueueName="asked")["QueueUrl"]
    arn = aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    past, future = "at(2020-01-01T00:00:00)", "at(2199-01-01T00:00:00)"
    create(aws, "due", {"Arn": arn, "Input": "now"}, ScheduleExpression=past)
    create(aws, "once", {"Arn": arn, "Input": "and gone"}, ScheduleExpression=past, ActionAfterCompletion="DELETE")
    create(aws, "later", {"Arn": arn, "Input": "later"}, ScheduleExpression=future)
    create(aws, "off", {"Arn": arn, "Input": "off"}, ScheduleExpression=past, State="DISABLED")
    create(aws, "elsewhere", {"Arn": "arn:aws:lambda:us-east-1:123456789012:function:f"}, ScheduleExpression=past)
    create(aws, "nowhere", {"Arn": f"{arn}-not"}, ScheduleExpression=past)
    schedules = Schedules(aws("scheduler"), aws("events"), aws("sqs"))
    for seconds in range(3):
        schedules.send_due(datetime.now(UTC) + timedelta(seconds=1 + seconds))
    received = aws("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert sorted(message["Body"] for message in received) == ["and gone", "now"]
    left = aws("scheduler").list_schedules()["Schedules"]
    assert sorted(schedule["Name"] for schedule in left) == ["due", "elsewhere", "later", "nowhere", "off"]


def test_a_bus_gets_the_event_that_a_schedule_describes(aws: Any) -> None:
    events, sqs = aws("events"), aws("sqs")
    bus = events.create_event_bus(Name="heard")["EventBusArn"]
    url = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName="heard", EventPattern=json.dumps({"source": ["my.schedules"]}))
    events.put_targets(Rule="all", EventBusName="heard", Targets=[{"Id": "queue", "Arn": arn}])
    event = {"DetailType": "GenerationRequested", "Source": "my.schedules"}
    create(aws, "nightly", {"Arn": bus, "EventBridgeParameters": event, "Input": '{"account": "a"}'})
    Schedules(aws("scheduler"), events, sqs).send_due(datetime.now(UTC) + timedelta(days=3650))
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    heard = json.loads(message["Body"])
    assert (heard["detail-type"], heard["source"], heard["detail"]) == (
        "GenerationRequested",
        "my.schedules",
        {"account": "a"},
    )
