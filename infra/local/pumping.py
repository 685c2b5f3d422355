"""Lambda's pollers: one thread reads a queue, and its batches are handled beside each other."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from typing import Any, Protocol
from uuid import uuid4

from infra.local.context import Context
from infra.local.envelopes import failed_message_ids, sqs_event
from infra.local.functions import Function, QueueSource

LONG_POLL_S = 20
Handler = Callable[[dict[str, Any], Context], Any]
Messages = Sequence[Mapping[str, Any]]
logger = logging.getLogger(__name__)


class Delivery(Protocol):
    """How messages reach a handler."""

    def __call__(self, messages: Messages) -> set[str]:
        """Hand them over, and tell the ids of those that stay in the queue."""
        ...


def pump(queue_name: str, deliver: Delivery, *, batch_size: int, concurrency: int, sqs: Any) -> None:
    """Bring the queue's messages to `deliver` for ever, at most `concurrency` batches at a time."""
    url = sqs.get_queue_url(QueueName=queue_name)["QueueUrl"]
    free = Semaphore(concurrency)

    def handle(messages: Messages) -> None:
        try:
            kept = deliver(messages)
            for message in messages:
                if message["MessageId"] not in kept:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        except Exception:
            logger.exception("a batch failed")
        finally:
            free.release()

    with ThreadPoolExecutor(concurrency, thread_name_prefix=queue_name) as workers:
        while True:
            # a message taken before somebody is free to handle it would spend its visibility on waiting
            free.acquire()
            messages = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(batch_size, 10),
                WaitTimeSeconds=LONG_POLL_S,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if messages:
                workers.submit(handle, messages)
            else:
                free.release()


def deliver_batch(source: QueueSource, function: Function, handler: Handler) -> Delivery:
    """As an event source mapping does: the messages as one event, and the answer's failures stay."""

    def deliver(messages: Messages) -> set[str]:
        answer = handler(sqs_event(messages, queue_arn=source.arn), new_context(function))
        ids = [message["MessageId"] for message in messages]
        return failed_message_ids(answer, ids) if source.partial else set()

    return deliver


def deliver_events(function: Function, handler: Handler) -> Delivery:
    """As a rule does that has the function for a target: each message's body is an event of its own."""

    def deliver(messages: Messages) -> set[str]:
        for message in messages:
            handler(json.loads(message["Body"]), new_context(function))
        return set()

    return deliver


def new_context(function: Function) -> Context:
    """The context of one call."""
    return Context(function_name=function.logical_id, aws_request_id=str(uuid4()), timeout_s=function.timeout_s)
