"""Who admits requests and settles them."""

from __future__ import annotations

from functools import cached_property

from gateway.adapters.aws.ledger import DynamoLedger
from gateway.adapters.aws.outbox import SqsOutbox
from gateway.application.settling import Settle
from gateway.bootstrap.parts.process import Process


class Books(Process):
    """The ledger, and the outbox beside it."""

    @cached_property
    def ledger(self) -> DynamoLedger:
        return DynamoLedger(self.table)

    @cached_property
    def settle(self) -> Settle:
        return Settle(self.ledger, SqsOutbox(self.clients, self.settings.outbox_queue_url))
