"""The steps of a request as the wire shows them, and what can be done to each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

FRAME = "frame"
INVOKE = "invoke"
ADMIT = "UpdateItem ACCOUNT"
SETTLE = "TransactWriteItems"


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """The n-th call of a kind that a request makes, or the n-th frame of the engine's answers; n counts from 1."""

    label: str
    number: int

    @property
    def is_frame(self) -> bool:
        return self.label == FRAME

    def __str__(self) -> str:
        return f"{self.label} {self.number}"


class Fault(StrEnum):
    """What happens at a step."""

    KILL_BEFORE = "the process is killed before"
    KILL_AFTER = "the process is killed after"
    CUT_BEFORE = "the connection is cut before"
    CUT_AFTER = "the connection is cut after, the write took effect"
    CUT_WITHIN = "the connection is cut within"
    LATE = "the answer never comes, the write took effect"
    THROTTLE = "throttled once"
    TWICE = "delivered twice"
    OUT = "the service is out of reach from here on"
    THROTTLE_ON = "the service throttles from here on"
    DEAF = "every answer is lost from here on, the writes take effect"
    BREAK = "the stream breaks with an error"
    LEAVE_BEFORE = "the client leaves before"
    LEAVE_AFTER = "the client leaves after"


KILLS = frozenset({Fault.KILL_BEFORE, Fault.KILL_AFTER})
DEPARTURES = frozenset({Fault.LEAVE_BEFORE, Fault.LEAVE_AFTER})
LASTING = frozenset({Fault.OUT, Fault.THROTTLE_ON, Fault.DEAF})
PASSING = frozenset({Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.CUT_WITHIN, Fault.THROTTLE, Fault.TWICE, Fault.BREAK})
ON_FRAMES = KILLS | {Fault.CUT_BEFORE, Fault.CUT_WITHIN, Fault.BREAK, Fault.LEAVE_AFTER}
ON_CALLS = (KILLS | LASTING | PASSING | DEPARTURES | {Fault.LATE}) - {Fault.CUT_WITHIN, Fault.BREAK}


def faults_of(step: Step, *, client: bool) -> list[Fault]:
    """What can happen at this step; without a client nobody leaves."""
    if step.is_frame:
        possible = ON_FRAMES
    elif step.label == INVOKE:
        possible = ON_CALLS - {Fault.DEAF, Fault.TWICE, Fault.LATE}
    else:
        possible = ON_CALLS
    return sorted(possible if client else possible - DEPARTURES)


def label_of(path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
    """The service that a call is for, and what the call is."""
    service, _, operation = headers.get("x-amz-target", "").partition(".")
    if service.startswith("DynamoDB"):
        fields = json.loads(body)
        kind = "".join(_kinds(fields.get("Key") or fields.get("Item") or {}))
        return "dynamodb", f"{operation} {kind}".strip()
    if service == "AmazonSQS":
        return "sqs", f"{operation} {json.loads(body)['QueueUrl'].rpartition('/')[2]}"
    if service:
        return service, operation
    return ("sagemaker", INVOKE) if path.startswith("/endpoints/") else ("other", path)


def _kinds(key: Mapping[str, Any]) -> list[str]:
    """`ACCOUNT` of an account's item, `MODEL` of a model's, `JOB` of a job's."""
    return [key["sk"]["S"].partition("#")[0]] if "sk" in key else []
