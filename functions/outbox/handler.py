"""The outbox function: SQS delivers settlements that the table refused when they happened."""

from gateway.bootstrap.outbox import OutboxFunction

handler = OutboxFunction.from_environment().outbox_handler()
