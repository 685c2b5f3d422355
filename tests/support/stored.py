"""What is left in AWS: all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def stored(client_of: Callable[[str], Any], *, table: str, bucket: str) -> dict[str, bytes]:
    """All items of the table, all objects of the bucket with their names, and all messages of all queues."""
    items: list[Any] = []
    for page in client_of("dynamodb").get_paginator("scan").paginate(TableName=table):
        items += page["Items"]
    s3, sqs = client_of("s3"), client_of("sqs")
    names = [
        entry["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for entry in page.get("Contents", [])
    ]
    objects = [name.encode() + b" " + s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names]
    messages = []
    for url in sqs.list_queues()["QueueUrls"]:
        while taken := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600).get("Messages"):
            messages += taken
    return {
        "table": json.dumps(items, default=str).encode(),
        "bucket": b"\n".join(objects),
        "queues": json.dumps(messages).encode(),
    }
