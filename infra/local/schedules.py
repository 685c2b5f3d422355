"""EventBridge Scheduler: what moto declares and does not run. Each second the schedules that are due are sent.

Targets are buses and queues, which is what sends a request to the gateway. A flexible window is not made use of.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import boto3
from botocore.exceptions import ClientError

from infra.local.cron import Cron, read_cron
from infra.local.failure import CannotStart
from infra.local.functions import period_of

_TICK_S = 1.0
logger = logging.getLogger(__name__)


class NotRunHere(Exception):
    """A schedule of a kind that only AWS runs."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When a schedule is due: once `at`, every `period_s` since `begins`, or whenever `cron` says so in `zone`."""

    begins: datetime
    ends: datetime | None = None
    at: datetime | None = None
    period_s: int | None = None
    cron: Cron | None = None
    zone: tzinfo = UTC

    def is_due(self, now: datetime, last: datetime | None) -> bool:
        """Whether it has to be sent now; `last` is when it was sent last. A minute of a cron is sent once."""
        if now < self.begins or (self.ends is not None and now >= self.ends):
            return False
        if self.at is not None:
            return last is None and now >= self.at
        if self.period_s is not None:
            return last is None or now >= last + timedelta(seconds=self.period_s)
        assert self.cron is not None
        minute = now.replace(second=0, microsecond=0)
        return (last is None or last < minute) and self.cron.matches(minute.astimezone(self.zone))


def read_timing(schedule: Mapping[str, Any]) -> Timing:
    """The timing of a schedule as `GetSchedule` tells it. Raises NotRunHere."""
    expression = schedule["ScheduleExpression"]
    kind, _, inner = expression.rstrip(")").partition("(")
    name = schedule.get("ScheduleExpressionTimezone") or "UTC"
    zone = UTC if name == "UTC" else ZoneInfo(name)
    fields: dict[str, Any] = {
        "begins": schedule.get("StartDate") or schedule["CreationDate"],
        "ends": schedule.get("EndDate"),
        "zone": zone,
    }
    try:
        if kind == "at":
            return Timing(**fields, at=datetime.fromisoformat(inner).replace(tzinfo=zone))
        if kind == "rate":
            return Timing(**fields, period_s=period_of(expression))
        return Timing(**fields, cron=read_cron(expression))
    except (ValueError, CannotStart) as error:
        raise NotRunHere(str(error)) from None


@dataclass(slots=True)
class Schedules:
    """The schedules at one AWS endpoint, and when each was sent last."""

    scheduler: Any
    events: Any
    sqs: Any
    _sent: dict[str, datetime] = field(default_factory=dict)
    _unknown: set[str] = field(default_factory=set)

    def send_due(self, now: datetime) -> None:
        """Send what is due at this moment."""
        for listed in self.scheduler.list_schedules()["Schedules"]:
            schedule = self.scheduler.get_schedule(Name=listed["Name"], GroupName=listed["GroupName"])
            if schedule["State"] != "ENABLED" or schedule["Arn"] in self._unknown:
                continue
            try:
                self._send_if_due(schedule, now)
            except NotRunHere as error:
                self._unknown.add(schedule["Arn"])
                logger.warning("schedule %s is not run locally: %s", schedule["Name"], error)
            except ClientError:
                logger.exception("schedule %s could not be sent", schedule["Name"])

    def _send_if_due(self, schedule: Mapping[str, Any], now: datetime) -> None:
        arn, timing = schedule["Arn"], read_timing(schedule)
        last = self._sent.get(arn)
        if last is not None and last < schedule["CreationDate"]:
            last = None  # another schedule had this name
        if not timing.is_due(now, last):
            return
        self._sent[arn] = now
        self._send(schedule["Target"])
        if timing.at is not None and schedule.get("ActionAfterCompletion") == "DELETE":
            self.scheduler.delete_schedule(Name=schedule["Name"], GroupName=schedule["GroupName"])

    def _send(self, target: Mapping[str, Any]) -> None:
        arn, text = target["Arn"], target.get("Input", "{}")
        if ":event-bus/" in arn:
            event = target["EventBridgeParameters"]
            entry = {"Source": event["Source"], "DetailType": event["DetailType"], "Detail": text, "EventBusName": arn}
            answer = self.events.put_events(Entries=[entry])
            if answer["FailedEntryCount"]:
                logger.error("a schedule's event was refused: %s", answer["Entries"])
        elif ":sqs:" in arn:
            url = self.sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
            self.sqs.send_message(QueueUrl=url, MessageBody=text)
        else:
            raise NotRunHere(f"its target {arn} is no bus and no queue")


def start_schedules() -> None:
    """Run the schedules of the endpoint that the environment names, from this moment on."""
    Thread(target=_run, name="schedules", daemon=True).start()


def _run() -> None:
    # made here: clients take a while, and the stack's start does not wait for a schedule
    schedules = Schedules(boto3.client("scheduler"), boto3.client("events"), boto3.client("sqs"))
    while True:
        time.sleep(_TICK_S)
        try:
            schedules.send_due(datetime.now(UTC))
        except Exception:
            logger.exception("the schedules could not be read or sent")
