"""The worker function: SQS delivers jobs, one at a time; each runs through the same steps as an interactive request."""

from gateway.bootstrap import Gateway

handler = Gateway.from_environment().worker_handler()
