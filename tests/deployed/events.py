"""The repository's example events, made fit for a test's own account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.deployed.environment import ROOT

FUNCTIONS_BY_PREFIX = {
    "apigw_": "AccountFunction",
    "apigw_chat": "ChatFunction",
    "apigw_completions": "ChatFunction",
    "sqs_outbox": "OutboxFunction",
    "sqs_job": "WorkerFunction",
    "sqs_callback": "CallbackFunction",
    "sqs_batch_step": "IntakeFunction",
    "sqs_request": "IntakeFunction",
    "s3_": "IntakeFunction",
    "bus_": "IntakeFunction",
    "schedule_": "UpkeepFunction",
    "sagemaker_": "UpkeepFunction",
}
"""Whose event a file is, by the beginning of its name; the longest that fits counts."""


def function_of(name: str) -> str:
    """The logical id of the function that an example event is for."""
    prefix = max((prefix for prefix in FUNCTIONS_BY_PREFIX if name.startswith(prefix)), key=len)
    return FUNCTIONS_BY_PREFIX[prefix]


def read_event(name: str) -> dict[str, Any]:
    """`events/<name>.json`."""
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text("utf-8"))
    return event


def http_event(
    name: str,
    *,
    method: str | None = None,
    path: str | None = None,
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """API Gateway's event `name`, with these parts of the request in place of its own; `body` is merged into it."""
    event = read_event(name)
    if method is not None:
        event["httpMethod"] = event["requestContext"]["httpMethod"] = method
    if path is not None:
        event["path"] = path
        event["requestContext"]["path"] = f"/{event['requestContext']['stage']}{path}"
    event["headers"] |= headers or {}
    event["multiValueHeaders"] |= {header: [value] for header, value in (headers or {}).items()}
    if body is not None:
        event["body"] = json.dumps(json.loads(event["body"] or "{}") | body)
    return event
