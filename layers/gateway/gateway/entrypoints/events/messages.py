"""SQS messages, one after the other, with the partial batch answer: what failed comes again, alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from gateway.entrypoints.events.loop import run

Take = Callable[[SQSRecord], Awaitable[None]]


def handle_messages(event: dict[str, Any], context: Any, take: Take) -> Any:
    """Calls `take` for each message of an SQS event and answers with the ids of those that raised."""

    def handle(record: SQSRecord) -> None:
        run(_awaited(take(record)))

    return process_partial_response(
        event=event,
        record_handler=handle,
        processor=BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False),
        context=context,
    )


async def _awaited(step: Awaitable[None]) -> None:
    await step
