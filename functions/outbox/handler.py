"""The outbox function: SQS delivers settlements that the table refused when they happened."""

from gateway.bootstrap import Gateway

handler = Gateway.from_environment().outbox_handler()
