"""The child that is Lambda's event sources: it reads the queues, keeps the schedules, and calls the handlers."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from infra.local.envelopes import scheduled_event
from infra.local.failure import CannotStart
from infra.local.functions import Function, QueueSource, RuleSource, Timer
from infra.local.parent import Parent
from infra.local.pumping import LONG_POLL_S, Delivery, Handler, deliver_batch, deliver_events, new_context, pump

_RETRY_S = 1.0
logger = logging.getLogger(__name__)


def main(parent: Parent) -> None:
    """Pump until the supervisor's end."""
    import boto3  # noqa: PLC0415 - while the others make what the handlers need
    from botocore.config import Config  # noqa: PLC0415
    from gateway.bootstrap import callback, intake, outbox, upkeep, worker  # noqa: F401, PLC0415

    from infra.local.entry import load_entries  # noqa: PLC0415

    order = parent.receive()
    parent.at_its_end()
    os.environ.update(order["endpoints"])
    declared = [Function.from_json(fields) for fields in order["functions"]]
    functions = [function for function in declared if function.queues or function.rules or function.timers]
    # one client for all: a long poll holds its connection
    polled: list[QueueSource | RuleSource] = [each for function in functions for each in function.queues]
    polled += [each for function in functions for each in function.rules]
    polls = sum(1 + source.concurrency for source in polled)
    sqs = boto3.client("sqs", config=Config(read_timeout=LONG_POLL_S + 5, max_pool_connections=polls))
    for function, module in zip(functions, load_entries(functions, "handler.py"), strict=True):
        for timer in function.timers:
            _first_call(timer, function, module.handler)
            _start(function, _keep_schedule, timer, function, module.handler)
        for queue in function.queues:
            delivery = deliver_batch(queue, function, module.handler)
            _start(function, _pump, queue, delivery, sqs)
        for rule in function.rules:
            _start(function, _pump, rule, deliver_events(function, module.handler), sqs)
    parent.report("ready")
    Event().wait()


def _start(function: Function, body: Callable[..., None], *arguments: Any) -> None:
    Thread(target=body, args=arguments, name=function.logical_id, daemon=True).start()


def _pump(source: QueueSource | RuleSource, delivery: Delivery, sqs: Any) -> None:
    while True:
        try:
            pump(source.queue_name, delivery, batch_size=source.batch_size, concurrency=source.concurrency, sqs=sqs)
        except Exception:
            logger.exception("a queue could not be read")
            time.sleep(_RETRY_S)


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
    handler(scheduled_event(rule=timer.name, event_id=str(uuid4()), now=datetime.now(UTC)), new_context(function))


if __name__ == "__main__":
    Parent().run(main)
