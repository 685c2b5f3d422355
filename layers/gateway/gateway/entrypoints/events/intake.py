"""Envelopes of the event sources that bring work: SQS, S3 through EventBridge, and our own bus."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from gateway.application.intake import Intake
from gateway.domain.batches import BatchStep
from gateway.domain.errors import InvalidRequest, NotFound
from gateway.domain.wire import parse_json_object
from gateway.entrypoints.events.loop import run
from gateway.entrypoints.events.messages import handle_messages

logger = logging.getLogger(__name__)

ACCOUNT_ATTRIBUTE = "account"
_MESSAGES = "sqs"
_BUS = "events"
_OBJECTS = "s3"


@dataclass(frozen=True, slots=True)
class IntakeHandler:
    """Turns events into jobs, batches, and steps of batches.

    What can never succeed (a broken request, an unknown account) is logged by its reason and not tried again.
    """

    intake: Intake
    read_step: Callable[[str], BatchStep]
    steps_queue: str
    """The name of the queue whose messages are steps; those of any other queue are requests."""

    def __call__(self, event: dict[str, Any], context: Any) -> Any:
        """Answers SQS with its partial batch response, EventBridge with nothing."""
        if "Records" in event:
            return handle_messages(event, context, self._message)
        run(self._event(event))
        return None

    async def _message(self, record: SQSRecord) -> None:
        if record.event_source_arn.rpartition(":")[2] == self.steps_queue:
            await self.intake.step(self.read_step(record.body))
            return
        # by index: `get` would give the raw value
        attribute = record.message_attributes[ACCOUNT_ATTRIBUTE]
        account_id = (attribute.string_value if attribute else None) or ""
        await self._request(account_id, _MESSAGES, record.message_id, lambda: parse_json_object(record.body.encode()))

    async def _event(self, event: Mapping[str, Any]) -> None:
        detail = event["detail"]
        if event["detail-type"] == "Object Created":
            await self._object(event["time"], detail["object"])
            return
        request = detail.get("request")
        await self._request(
            str(detail.get("account", "")), _BUS, event["id"], lambda: parse_json_object(json.dumps(request).encode())
        )

    async def _object(self, time: str, object_: Mapping[str, Any]) -> None:
        dropped_s = int(datetime.fromisoformat(time).timestamp())
        try:
            # the sequencer is of one write of one key, and the same in every delivery of its event
            await self.intake.dropped(object_["key"], _OBJECTS, drop_id=object_["sequencer"], dropped_s=dropped_s)
        except (InvalidRequest, NotFound) as error:
            logger.warning("object refused: %s", error.reason or error.type)

    async def _request(
        self, account_id: str, source: str, event_id: str, parse: Callable[[], Mapping[str, Any]]
    ) -> None:
        try:
            job = await self.intake.request(account_id, source, parse(), event_id=event_id)
        except (InvalidRequest, NotFound) as error:
            logger.warning("request refused", extra={"event": event_id, "param": error.param, "reason": error.reason})
            return
        logger.info("request queued", extra={"event": event_id, "job": job.ref.job_id})
