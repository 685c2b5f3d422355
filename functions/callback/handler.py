"""The callback function: SQS delivers ends of jobs to tell, one at a time; what fails is queued anew with a delay."""

from gateway.bootstrap.callback import CallbackFunction

handler = CallbackFunction.from_environment().callback_handler()
