"""The outbox's messages: settlements that the ledger would not take when they happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from gateway.domain.errors import LeaseGone
from gateway.domain.usage import Settlement

logger = logging.getLogger(__name__)


class OutboxHandler:
    """Settles each message; one that still can't be settled goes back to the queue alone."""

    def __init__(
        self, *, settle: Callable[[Settlement], Awaitable[None]], read_message: Callable[[str], Settlement]
    ) -> None:
        self._settle = settle
        self._read_message = read_message

    def __call__(self, event: dict[str, Any], context: Any) -> Any:
        """Answers with the partial batch response of SQS: the ids of what was not settled."""
        return process_partial_response(
            event=event,
            record_handler=self._settle_record,
            processor=BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False),
            context=context,
        )

    def _settle_record(self, record: SQSRecord) -> None:
        settlement = self._read_message(record.body)
        try:
            asyncio.run(_run(self._settle(settlement)))
        except LeaseGone:
            logger.info("settled before", extra={"lease": settlement.lease.request_id})


async def _run(step: Awaitable[None]) -> None:
    await step
