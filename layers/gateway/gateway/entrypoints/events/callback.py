"""Messages of the callbacks queue: each names a job whose end is to be told, and which attempt it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from gateway.domain.jobs import Callback
from gateway.entrypoints.events.messages import handle_messages


@dataclass(frozen=True, slots=True)
class CallbackHandler:
    """Makes each message's callback."""

    make_callback: Callable[[Callback], Awaitable[None]]
    read_callback: Callable[[str], Callback]

    def __call__(self, event: dict[str, Any], context: Any) -> Any:
        """Answers with the partial batch response of SQS."""
        return handle_messages(event, context, self._make)

    async def _make(self, record: SQSRecord) -> None:
        await self.make_callback(self.read_callback(record.body))
