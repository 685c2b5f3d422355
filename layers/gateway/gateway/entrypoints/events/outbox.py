"""The outbox's messages: settlements that the ledger would not take when they happened."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from gateway.domain.errors import LeaseGone
from gateway.domain.usage import Settlement
from gateway.entrypoints.events.messages import handle_messages

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OutboxHandler:
    """Settles each message; one that still can't be settled goes back to the queue alone."""

    settle: Callable[[Settlement], Awaitable[None]]
    read_message: Callable[[str], Settlement]

    def __call__(self, event: dict[str, Any], context: Any) -> Any:
        """Answers with the partial batch response of SQS."""
        return handle_messages(event, context, self._settle)

    async def _settle(self, record: SQSRecord) -> None:
        settlement = self.read_message(record.body)
        try:
            await self.settle(settlement)
        except LeaseGone:
            logger.info("settled before", extra={"lease": settlement.lease.request_id})
