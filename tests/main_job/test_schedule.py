"""The documented job on a schedule, sent by the running stack and answered by the real model."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.credentials import ACCOUNT_ID, REGION, STACK_NAME
from infra.local.cron import read_cron
from tests.support.bus_listener import BusListener
from tests.support.local_stack import MODEL, LocalStack, bearer

pytestmark = pytest.mark.model
PAGE = Path(__file__).parents[2] / "docs/operate.md"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:event-bus/{STACK_NAME}"


def documented_schedule(**values: str) -> dict[str, Any]:
    """The arguments of the page's `aws scheduler create-schedule`, its `<places>` filled in."""
    (command,) = re.findall(r"^aws scheduler create-schedule .*?(?=^```)", PAGE.read_text("utf-8"), re.M | re.S)
    for place, value in values.items():
        assert f"<{place.replace('_', ' ')}>" in command
        command = command.replace(f"<{place.replace('_', ' ')}>", value)
    assert "<" not in command
    words = shlex.split(command.replace("\\\n", " "))
    options = dict(zip(words[3::2], words[4::2], strict=True))
    name, _, mode = options["--flexible-time-window"].partition("=")
    return {
        "Name": options["--name"],
        "ScheduleExpression": options["--schedule-expression"],
        "FlexibleTimeWindow": {name: mode},
        "Target": json.loads(options["--target"]),
    }


def test_the_documented_schedule_becomes_a_job_that_is_answered(stack: LocalStack, aws: Any, account_key: str) -> None:
    account_id = account_key.split("-")[1]
    listener = BusListener(sqs=aws("sqs"), events=aws("events"), bus=STACK_NAME, account_id=account_id)
    schedule = documented_schedule(
        the_bus=BUS, a_role_that_may_put_events_there="arn:aws:iam::123456789012:role/schedules", account_id=account_id
    )
    assert read_cron(schedule["ScheduleExpression"]).matches(datetime(2026, 11, 23, 3, 0, tzinfo=UTC))
    # the night is not waited for, and the model is the one that is here
    schedule["ScheduleExpression"] = datetime.now(UTC).strftime("at(%Y-%m-%dT%H:%M:%S)")
    detail = json.loads(schedule["Target"]["Input"])
    detail["request"] |= {"model": MODEL, "max_tokens": 5}
    schedule["Target"]["Input"] = json.dumps(detail)
    aws("scheduler").create_schedule(**schedule)

    told = dict(listener.hear(2))
    assert sorted(told) == ["GenerationCompleted", "UsageRecorded"]
    job = httpx.get(
        f"{stack.base_url}/v1/jobs/{told['GenerationCompleted']['job']}", headers=bearer(account_key)
    ).json()
    assert job["status"] == "succeeded"
    assert job["result"]["usage"]["completion_tokens"] <= 5
    assert told["UsageRecorded"]["key"] == "events"
