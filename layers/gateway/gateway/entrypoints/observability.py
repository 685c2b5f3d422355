"""Logs and metrics: JSON lines and CloudWatch's embedded metrics. Neither ever holds a prompt, an answer or a key.

Of our own: Powertools takes several times the CPU, and a line for each (docs/benchmarks.md).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from traceback import extract_tb
from types import MappingProxyType
from typing import Any, Literal

from pydantic_core import to_json

from gateway.domain.line import Line
from gateway.domain.usage import Settlement

SERVICE = "gateway"
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest is what the caller added."""

Unit = Literal["Count", "Count/Second", "Milliseconds", "None"]
Metrics = Mapping[str, tuple[Unit, float | None]]


def start_logging(level: str) -> logging.Logger:
    """JSON logs on standard output for everything under `gateway`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonFormatter())
    package = logging.getLogger("gateway")
    package.handlers = [handler]
    package.setLevel(level)
    package.propagate = False
    return package


class _JsonFormatter(logging.Formatter):
    """One line a record: its own members, what was added to it, and an exception by its kind and places."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "level": record.levelname,
            "location": f"{record.funcName}:{record.lineno}",
            "message": record.getMessage(),
            "timestamp": _timestamp(record.created),
            "service": SERVICE,
            **{name: value for name, value in vars(record).items() if name not in _OWN and value is not None},
        }
        if record.exc_info and record.exc_info[1] is not None:
            told["exception"] = "\n".join(_told(record.exc_info[1]))
            told["exception_name"] = type(record.exc_info[1]).__name__
        return to_json(told, fallback=str).decode()


def _timestamp(created_s: float) -> str:
    whole_s = int(created_s)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(whole_s))},{int((created_s - whole_s) * 1000):03d}+0000"


def _told(error: BaseException) -> list[str]:
    """An exception by its kind and places alone: what it says may quote a request or an answer."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    for_log = getattr(error, "for_log", None)  # what an error of ours has to say that quotes nobody
    if for_log is not None:
        kind += f": {for_log}"
    places = [f"  {place.filename}:{place.lineno} in {place.name}" for place in extract_tb(error.__traceback__)]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return [kind, *places, *(["after", *_told(cause)] if cause is not None else [])]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is measured. CloudWatch takes the metrics out of a line and keeps the line."""

    namespace: str

    def settled(self, settlement: Settlement) -> None:
        """One line for a request: what the log tells of it, whatever the log's level, and its metrics."""
        lease = settlement.lease
        told = {
            "level": "INFO",
            "message": "request settled",
            "timestamp": _timestamp(time.time()),
            "service": SERVICE,
            "lease": lease.request_id,
            "account": lease.account_id,
            "key_id": lease.key_id,
            "model": lease.model,
            "endpoint": lease.endpoint,
            "status": settlement.status,
            "http_status": settlement.http_status,
            "reason": settlement.reason,
            "finish_reason": settlement.finish_reason,
            "stream": settlement.stream,
            "prompt_tokens": settlement.tokens.prompt,
            "completion_tokens": settlement.tokens.completion,
            "cost_nano_usd": settlement.cost_nano_usd,
            "line_ms": settlement.line_ms,
            "first_token_ms": settlement.first_token_ms,
            "duration_ms": settlement.duration_ms,
        }
        of_model: Metrics = {
            "Requests": ("Count", 1),
            "Errors": ("Count", int(settlement.http_status >= 500)),
            "PromptTokens": ("Count", settlement.tokens.prompt),
            "CompletionTokens": ("Count", settlement.tokens.completion),
            "CostUSD": ("None", settlement.cost_nano_usd / 1e9),
            "LineWait": ("Milliseconds", settlement.line_ms),
            "FirstTokenTime": ("Milliseconds", settlement.first_token_ms),
            "TokensPerSecond": ("Count/Second", settlement.tokens_per_s),
        }
        dimensions = {"Model": lease.model}
        metrics: dict[tuple[str, ...], Metrics] = {("Model",): of_model}
        if settlement.reason is not None:
            dimensions["Reason"] = settlement.reason
            metrics["Model", "Reason"] = {"Failures": ("Count", 1)}
        self._write(dimensions, metrics, told)

    def demand(self, line: Line) -> None:
        """How much a model is wanted: its endpoint scales on this."""
        metrics: Metrics = {
            "Demand": ("Count", line.demand),
            "DemandPerCopy": ("Count", line.demand / max(1, line.copies)),
            "Waiting": ("Count", len(line.waiting)),
            "Copies": ("Count", line.copies),
        }
        self._write({"Model": line.model}, {("Model",): metrics})

    def swept(self, leases: int) -> None:
        """How many leases outlived their process."""
        self._write({}, {(): {"LostRequests": ("Count", leases)}})

    def _write(
        self,
        dimensions: Mapping[str, str],
        metrics: Mapping[tuple[str, ...], Metrics],
        told: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """One EMF record (CloudWatch, "Specification: Embedded metric format"): what is `told`, and metrics by the
        names of their dimensions. What has no value is left out.

        The dimensions are these and no others: alarms and scaling ask for exactly them.
        """
        directives: list[dict[str, Any]] = []
        values: dict[str, list[float]] = {}
        for names, some in metrics.items():
            known = {name: (unit, value) for name, (unit, value) in some.items() if value is not None}
            directives.append(
                {
                    "Namespace": self.namespace,
                    "Dimensions": [names],
                    "Metrics": [{"Name": name, "Unit": unit} for name, (unit, _) in known.items()],
                }
            )
            values |= {name: [value] for name, (_, value) in known.items()}
        known_told = {name: value for name, value in told.items() if value is not None}
        about = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": directives}
        sys.stdout.write(to_json({**known_told, "_aws": about, **dimensions, **values}).decode() + "\n")
        sys.stdout.flush()
