"""The intake function: messages, dropped objects and events become jobs and batches."""

from gateway.bootstrap.intake import IntakeFunction

handler = IntakeFunction.from_environment().intake_handler()
