"""The intake function: messages, dropped objects and events become jobs and batches."""

from gateway.bootstrap import Gateway

handler = Gateway.from_environment().intake_handler()
