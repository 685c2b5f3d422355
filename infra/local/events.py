"""The child that is Lambda's event sources: it polls the queues, keeps the schedules, and calls the handlers."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from infra.local.context import Context
from infra.local.envelopes import failed_message_ids, scheduled_event, sqs_event
from infra.local.failure import CannotStart
from infra.local.functions import Function, QueueSource, Timer
from infra.local.parent import Parent

_LONG_POLL_S = 20
Handler = Callable[[dict[str, Any], Context], Any]
logger = logging.getLogger(__name__)


def main(parent: Parent) -> None:
    """Pump until the supervisor's end."""
    import boto3  # noqa: F401, PLC0415 - while the others make what the handlers need

    from infra.local.entry import load_entries  # noqa: PLC0415

    order = parent.receive()
    parent.at_its_end()
    os.environ.update(order["endpoints"])
    declared = [Function.from_json(fields) for fields in order["functions"]]
    functions = [function for function in declared if function.queues or function.timers]
    for function, module in zip(functions, load_entries(functions, "handler.py"), strict=True):
        for timer in function.timers:
            _first_call(timer, function, module.handler)
            _start(_keep_schedule, timer, function, module.handler)
        for queue in function.queues:
            _start(_pump_queue, queue, function, module.handler)
    parent.report("ready")
    Event().wait()


def _start(body: Callable[..., None], source: QueueSource | Timer, function: Function, handler: Handler) -> None:
    Thread(target=body, args=(source, function, handler), name=function.logical_id, daemon=True).start()


def _first_call(timer: Timer, function: Function, handler: Handler) -> None:
    """A real stack has had its first minute before anyone uses it; here the first call is part of the start."""
    try:
        _call_scheduled(timer, function, handler)
    except Exception as error:
        logger.exception("first scheduled call failed")
        raise CannotStart(f"The first scheduled call of {function.logical_id} failed: {error!r}.") from error


def _keep_schedule(timer: Timer, function: Function, handler: Handler) -> None:
    while True:
        time.sleep(timer.period_s)
        try:
            _call_scheduled(timer, function, handler)
        except Exception:
            logger.exception("a scheduled call failed")


def _call_scheduled(timer: Timer, function: Function, handler: Handler) -> None:
    handler(scheduled_event(rule=timer.name, event_id=str(uuid4()), now=datetime.now(UTC)), _context(function))


def _pump_queue(queue: QueueSource, function: Function, handler: Handler) -> None:
    import boto3  # noqa: PLC0415

    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=queue.arn.rsplit(":", 1)[1])["QueueUrl"]
    while True:
        messages = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(queue.batch_size, 10),
            WaitTimeSeconds=_LONG_POLL_S,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not messages:
            continue
        ids = [message["MessageId"] for message in messages]
        try:
            answer = handler(sqs_event(messages, queue_arn=queue.arn), _context(function))
        except Exception:
            logger.exception("a batch failed")
            continue
        kept = failed_message_ids(answer, ids) if queue.partial else set()
        for message in messages:
            if message["MessageId"] not in kept:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def _context(function: Function) -> Context:
    return Context(function_name=function.logical_id, aws_request_id=str(uuid4()), timeout_s=function.timeout_s)


if __name__ == "__main__":
    Parent().run(main)
