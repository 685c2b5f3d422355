"""The outbox function."""

from __future__ import annotations

from gateway.adapters.aws.outbox_reading import read_message
from gateway.bootstrap.parts.books import Books
from gateway.entrypoints.events.outbox import OutboxHandler


class OutboxFunction(Books):
    """Settles what the table would not take when it happened."""

    def outbox_handler(self) -> OutboxHandler:
        """The handler of the outbox function."""
        self.start_logging()
        return OutboxHandler(self.ledger.settle, read_message)
