"""A process that is a worker function with its poller. Its arguments: the function as JSON, and the queue's name."""

from __future__ import annotations

import json
import sys

import boto3

from infra.local.entry import load_entries
from infra.local.functions import Function
from infra.local.pumping import deliver_batch, pump


def main() -> None:
    """Pumps the function's queue named by the second argument until the process is killed."""
    function = Function.from_json(json.loads(sys.argv[1]))
    (module,) = load_entries([function], "handler.py")
    (source,) = [queue for queue in function.queues if queue.queue_name == sys.argv[2]]
    deliver = deliver_batch(source, function, module.handler)
    pump(source.queue_name, deliver, batch_size=1, concurrency=4, sqs=boto3.client("sqs"))


if __name__ == "__main__":
    main()
