"""The queues, the bucket and the bus of a moto with the template's resources."""

from __future__ import annotations

import json
from typing import Any

from gateway.adapters.aws.clients import Clients

from infra.local.credentials import ACCOUNT_ID, STACK_NAME
from tests.support.aws import Aws, environment_of

BUCKET = f"{STACK_NAME}-blobs"
BUS = STACK_NAME


def storage_clients(aws: Aws) -> Clients:
    """Clients of queues, bucket and bus, made in front of this moto."""
    clients = Clients()
    with environment_of(aws.url):
        for service in ("sqs", "s3", "events"):
            clients.get(service)
    return clients


def queue_url(aws: Aws, name: str) -> str:
    """The URL of the stack's queue of this name."""
    return f"{aws.url}/{ACCOUNT_ID}/{STACK_NAME}-{name}"


def take_all(clients: Clients, url: str) -> list[dict[str, Any]]:
    """Every message that is to be seen now, taken out; `Body` is parsed."""
    sqs, found = clients.get("sqs"), []
    arguments = {"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"]}
    while messages := sqs.receive_message(**arguments).get("Messages"):
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append({**message, "Body": json.loads(message["Body"])})
    return found
