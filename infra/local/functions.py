"""The functions that template.yaml declares, as the local processes need them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from infra.local.failure import CannotStart
from infra.local.template import Lookup, Template

_CONCURRENCY = 5
"""Batches of a queue at once where the template sets no limit."""
_UNITS_S = {"minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")


@dataclass(frozen=True, slots=True)
class Route:
    """A method (`ANY` for all) on a path in API Gateway's form: `/keys/{id}`, `/{proxy+}`."""

    method: str
    path: str


@dataclass(frozen=True, slots=True)
class QueueSource:
    """A queue that feeds a function; `partial` where it may report the failures of a batch one by one."""

    arn: str
    batch_size: int
    partial: bool
    concurrency: int

    @property
    def queue_name(self) -> str:
        """What the queue is found by."""
        return self.arn.rsplit(":", 1)[1]


@dataclass(frozen=True, slots=True)
class RuleSource:
    """A rule of a bus with a function for its target. Here its events wait in a queue between the two."""

    name: str
    bus: str
    pattern: str

    batch_size: ClassVar[int] = 1
    concurrency: ClassVar[int] = 5

    @property
    def queue_name(self) -> str:
        """The queue between."""
        return f"local-{self.name}"


@dataclass(frozen=True, slots=True)
class Timer:
    """A schedule that calls a function every `period_s` seconds."""

    name: str
    period_s: int


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda function. `folder` holds its code, `environment` is what it finds in its variables."""

    logical_id: str
    folder: str
    timeout_s: int
    environment: Mapping[str, str]
    routes: tuple[Route, ...]
    queues: tuple[QueueSource, ...]
    rules: tuple[RuleSource, ...]
    timers: tuple[Timer, ...]

    def as_json(self) -> dict[str, Any]:
        """The function for a pipe."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Function:
        """The inverse of `as_json`."""
        return cls(
            fields["logical_id"],
            fields["folder"],
            fields["timeout_s"],
            fields["environment"],
            tuple(Route(**route) for route in fields["routes"]),
            tuple(QueueSource(**queue) for queue in fields["queues"]),
            tuple(RuleSource(**rule) for rule in fields["rules"]),
            tuple(Timer(**timer) for timer in fields["timers"]),
        )


def read_functions(template: Template, lookup: Lookup, *, root: Path) -> list[Function]:
    """Every `AWS::Serverless::Function`, in the template's order. Raises CannotStart."""
    return [
        _read_function(logical_id, resource["Properties"], template, lookup=lookup, root=root)
        for logical_id, resource in template.resources("AWS::Serverless::Function")
    ]


def _read_function(
    logical_id: str, properties: Mapping[str, Any], template: Template, *, lookup: Lookup, root: Path
) -> Function:
    defaults = template.function_defaults()
    variables: dict[str, Any] = {}
    for level in (defaults, properties):
        variables |= level.get("Environment", {}).get("Variables", {})
    events = [(name, event["Type"], event.get("Properties", {})) for name, event in _events(properties)]
    return Function(
        logical_id=logical_id,
        folder=str(root / properties["CodeUri"]),
        timeout_s=int(template.resolve(properties.get("Timeout", defaults.get("Timeout", 3)), lookup)),
        environment={name: str(value) for name, value in template.resolve(variables, lookup).items()},
        routes=tuple(Route(event["Method"].upper(), event["Path"]) for _, type_, event in events if type_ == "Api"),
        queues=tuple(
            QueueSource(
                arn=template.resolve(event["Queue"], lookup),
                batch_size=int(event.get("BatchSize", 10)),
                partial="ReportBatchItemFailures" in event.get("FunctionResponseTypes", ()),
                concurrency=int(
                    template.resolve(event.get("ScalingConfig", {}), lookup).get("MaximumConcurrency", _CONCURRENCY)
                ),
            )
            for _, type_, event in events
            if type_ == "SQS"
        ),
        rules=tuple(
            RuleSource(
                name=f"{logical_id}{name}",
                bus=str(template.resolve(event.get("EventBusName", "default"), lookup)),
                pattern=json.dumps(template.resolve(event["Pattern"], lookup)),
            )
            for name, type_, event in events
            if type_ == "EventBridgeRule"
        ),
        timers=tuple(
            Timer(f"{logical_id}{name}", period_of(event["Schedule"]))
            for name, type_, event in events
            if type_ == "Schedule"
        ),
    )


def _events(properties: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return list(properties.get("Events", {}).items())


def period_of(expression: str) -> int:
    """Seconds between two calls of a `rate(...)` schedule. Raises CannotStart for any other kind."""
    match = _RATE.fullmatch(expression)
    if match is None:
        raise CannotStart(f"The schedule {expression!r} of template.yaml is not a rate, the only kind run locally.")
    return int(match[1]) * _UNITS_S[match[2]]
