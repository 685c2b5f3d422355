"""The outbox on SQS: where a settlement waits that the table would not take."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic_core import to_json

from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.wire.errors import AwsRefusal, TransportFailed
from gateway.domain.errors import Unsettled
from gateway.domain.usage import Settlement


@dataclass(frozen=True, slots=True)
class SqsOutbox:
    """Keeps the promises of `ports.Outbox`."""

    clients: Clients
    queue_url: str

    async def put(self, settlement: Settlement) -> None:
        """See `ports.Outbox.put`."""
        try:
            await self.clients.call(
                "sqs", "send_message", QueueUrl=self.queue_url, MessageBody=write_message(settlement)
            )
        except (TransportFailed, AwsRefusal):
            raise Unsettled(settlement.lease.request_id) from None


def write_message(settlement: Settlement) -> str:
    """The body of a message that holds this settlement."""
    return to_json(settlement).decode()
