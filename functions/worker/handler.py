"""The worker function: SQS delivers jobs, one at a time; each runs through the same steps as an interactive request."""

from gateway.bootstrap.worker import WorkerFunction

handler = WorkerFunction.from_environment().worker_handler()
