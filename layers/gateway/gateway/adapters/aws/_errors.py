"""AWS's refusals as ours, in one table a service. What is not in a table is re-raised as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.adapters.aws.wire.errors import AwsRefusal
from gateway.domain.engine import translate_refusal
from gateway.domain.errors import GatewayError, ServerError, ServiceUnavailable, UpstreamTimeout

PASSING = frozenset(
    {
        "InternalServerError",
        "ItemCollectionSizeLimitExceededException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
"""DynamoDB's refusals that a later repeat may not meet."""


def is_passing(error: AwsRefusal) -> bool:
    """Whether DynamoDB may take the same call later. A fault of the service need not have a name of its own."""
    return error.code in PASSING or error.status >= 500


def ledger_unavailable() -> ServiceUnavailable:
    """The table is out of reach: nothing was started."""
    return ServiceUnavailable("The request could not be recorded. Retry.", reason="ledger_unavailable", retry_after_s=2)


def engine_busy() -> ServiceUnavailable:
    """SageMaker or its container has no room although our line gave a slot."""
    return ServiceUnavailable("The model is busy. Retry.", reason="line_full", retry_after_s=5)


def engine_warming() -> ServiceUnavailable:
    """The endpoint is there and no copy serves yet."""
    return ServiceUnavailable("The model has no running copy yet. Retry.", reason="model_warming", retry_after_s=60)


def engine_failed() -> ServerError:
    """The container failed."""
    return ServerError("The model failed to answer.", reason="engine_failed")


def engine_timeout() -> UpstreamTimeout:
    """The container was silent for too long."""
    return UpstreamTimeout("The model did not answer in time.", reason="engine_timeout")


def translate_invoke_error(error: AwsRefusal) -> GatewayError | None:
    """A refusal of InvokeEndpoint… before its stream (FACTS "SageMaker"), or None for one that is not known."""
    if error.code == "ModelError":
        return translate_refusal(
            int(error.fields.get("OriginalStatusCode", 500)), str(error.fields.get("OriginalMessage", ""))
        )
    if error.code == "ValidationError":
        # an endpoint that is not there, and a component scaled to zero ("no capacity"): both mean no copy
        return engine_warming()
    makers = {
        "ModelNotReadyException": engine_warming,
        "ServiceUnavailable": engine_busy,
        "ThrottlingException": engine_busy,
        "InternalDependencyException": engine_failed,
        "InternalFailure": engine_failed,
    }
    maker = makers.get(error.code)
    return maker() if maker else None


def stream_broken() -> ServerError:
    """The stream ended before its end."""
    return ServerError("The model's answer broke off.", reason="stream_broken")


def translate_stream_error(members: Mapping[str, Any]) -> GatewayError:
    """An exception inside a stream, by its members: ModelStreamError with its code, or InternalStreamFailure."""
    if members.get("ErrorCode") == "ModelInvocationTimeExceeded":
        return engine_timeout()
    return stream_broken()
