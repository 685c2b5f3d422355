"""Logs and metrics: JSON lines and EMF through Powertools. Neither ever holds a prompt, an answer or a key."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from traceback import extract_tb

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from gateway.domain.line import Line
from gateway.domain.usage import Settlement

SERVICE = "gateway"


def start_logging(level: str) -> Logger:
    """JSON logs on standard output for everything under `gateway`."""
    logger = Logger(service=SERVICE, level=level)
    for handler in logger.handlers:
        handler.addFilter(_drop_words)
    package = logging.getLogger("gateway")
    package.handlers = logger.handlers
    package.setLevel(level)
    package.propagate = False
    return logger


def _drop_words(record: logging.LogRecord) -> bool:
    """Puts an exception into a record by its kind and places alone: what it says may quote a request or an answer."""
    if record.exc_info and record.exc_info[1] is not None:
        record.exception = "\n".join(_told(record.exc_info[1]))
        record.exception_name = type(record.exc_info[1]).__name__
        record.exc_info = None
        record.exc_text = None
    return True


def _told(error: BaseException) -> list[str]:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    for_log = getattr(error, "for_log", None)  # what an error of ours has to say that quotes nobody
    if for_log is not None:
        kind += f": {for_log}"
    places = [f"  {place.filename}:{place.lineno} in {place.name}" for place in extract_tb(error.__traceback__)]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return [kind, *places, *(["after", *_told(cause)] if cause is not None else [])]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is said of each request once it is settled."""

    logger: Logger
    namespace: str

    def settled(self, settlement: Settlement) -> None:
        """One log line and one EMF record for a request, and another record for the reason that ended it early."""
        lease = settlement.lease
        self.logger.info(
            "request settled",
            extra={
                "lease": lease.request_id,
                "account": lease.account_id,
                "key_id": lease.key_id,
                "model": lease.model,
                "endpoint": lease.endpoint,
                "status": settlement.status,
                "http_status": settlement.http_status,
                "finish_reason": settlement.finish_reason,
                "stream": settlement.stream,
                "prompt_tokens": settlement.tokens.prompt,
                "completion_tokens": settlement.tokens.completion,
                "cost_nano_usd": settlement.cost_nano_usd,
                "reason": settlement.reason,
                "line_ms": settlement.line_ms,
                "first_token_ms": settlement.first_token_ms,
                "duration_ms": settlement.duration_ms,
            },
        )
        metrics = self._metrics(model=lease.model)
        metrics.add_metric("Requests", MetricUnit.Count, 1)
        metrics.add_metric("Errors", MetricUnit.Count, int(settlement.http_status >= 500))
        metrics.add_metric("PromptTokens", MetricUnit.Count, settlement.tokens.prompt)
        metrics.add_metric("CompletionTokens", MetricUnit.Count, settlement.tokens.completion)
        metrics.add_metric("CostUSD", MetricUnit.NoUnit, settlement.cost_nano_usd / 1e9)
        if settlement.line_ms is not None:
            metrics.add_metric("LineWait", MetricUnit.Milliseconds, settlement.line_ms)
        if settlement.first_token_ms is not None:
            metrics.add_metric("FirstTokenTime", MetricUnit.Milliseconds, settlement.first_token_ms)
        if settlement.tokens_per_s is not None:
            metrics.add_metric("TokensPerSecond", MetricUnit.CountPerSecond, settlement.tokens_per_s)
        metrics.add_metadata("status", settlement.status)
        metrics.flush_metrics()
        if settlement.reason is not None:
            # a record of its own: all metrics of one have the same dimensions
            failures = self._metrics(model=lease.model)
            failures.add_dimension("Reason", settlement.reason)
            failures.add_metric("Failures", MetricUnit.Count, 1)
            failures.flush_metrics()

    def demand(self, line: Line) -> None:
        """How much a model is wanted: its endpoint scales on this."""
        metrics = self._metrics(model=line.model)
        metrics.add_metric("Demand", MetricUnit.Count, line.demand)
        metrics.add_metric("DemandPerCopy", MetricUnit.Count, line.demand / max(1, line.copies))
        metrics.add_metric("Waiting", MetricUnit.Count, len(line.waiting))
        metrics.add_metric("Copies", MetricUnit.Count, line.copies)
        metrics.flush_metrics()

    def swept(self, leases: int) -> None:
        """How many leases outlived their process."""
        metrics = self._record()
        metrics.add_metric("LostRequests", MetricUnit.Count, leases)
        metrics.flush_metrics()

    def _metrics(self, *, model: str) -> AmazonCloudWatchEMFProvider:
        metrics = self._record()
        metrics.add_dimension("Model", model)
        return metrics

    def _record(self) -> AmazonCloudWatchEMFProvider:
        metrics = AmazonCloudWatchEMFProvider(namespace=self.namespace)
        # else POWERTOOLS_SERVICE_NAME becomes a dimension, and alarms and scaling, which name theirs, see no metric
        metrics.service = ""
        return metrics
