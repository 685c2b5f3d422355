"""Every failure a client can see, with the status it travels under.

GatewayError
 ├─ InvalidRequest        400  bad JSON, bad field, prompt too long
 │   ├─ MethodNotAllowed  405
 │   └─ BodyTooLarge      413
 ├─ AuthenticationFailed  401  one message for every cause (CONTRACT "Errors")
 ├─ PermissionDenied      403
 ├─ NotFound              404
 ├─ RateLimited           429  requests a minute, open requests, reserved tokens
 │   └─ DailyQuotaReached 429  the day's tokens
 ├─ ServerError           500  ours; says nothing of the inside
 ├─ ServiceUnavailable    503  no copy ready, the line is full, a back end is down
 └─ UpstreamTimeout       504

Four more never reach a client as they are:

Unsettled   the ledger refused a settlement for now; the outbox takes it
LeaseGone   a settlement found no lease: somebody settled before
SearchFailed  a search back end gave nothing usable; the search mode decides what that means
OutboundFailed  a host on the internet could not be called, or gave nothing usable
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

Reason = Literal[
    "model_not_found",
    "route_not_found",
    "context_length_exceeded",
    "unsupported_parameter",
    "daily_quota_exceeded",
    "requests_per_minute_exceeded",
    "too_many_open_requests",
    "tokens_reserved",
    "account_suspended",
    "missing_scope",
    "key_limit_reached",
    "last_admin_key",
    "key_not_found",
    "job_not_found",
    "file_not_found",
    "batch_not_found",
    "model_warming",
    "model_off",
    "line_full",
    "line_timeout",
    "search_unavailable",
    "ledger_unavailable",
    "engine_failed",
    "stream_broken",
    "engine_timeout",
]


class GatewayError(Exception):
    """A failure with a place in the contract.

    `retry_after_s` becomes `Retry-After`; `param` is the JSON path of the offending field.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        reason: Reason | None = None,
        retry_after_s: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The error object of CONTRACT "Errors"; the four fields are always there."""
        error: dict[str, Any] = {
            "message": self.message,
            "type": self.type,
            "code": self.status,
            "param": self.param,
        }
        if self.reason is not None:
            error["reason"] = self.reason
        return {"error": error}


class InvalidRequest(GatewayError):
    """The request breaks a rule that the client can mend."""

    status = 400
    type = "invalid_request_error"


class MethodNotAllowed(InvalidRequest):
    """The route exists, the method does not."""

    status = 405


class BodyTooLarge(InvalidRequest):
    """The body is over the limit."""

    status = 413


class AuthenticationFailed(GatewayError):
    """Missing, malformed, unknown, disabled or deleted key: indistinguishable on purpose."""

    status = 401
    type = "authentication_error"

    def __init__(self) -> None:
        super().__init__(
            "The API key is missing or not valid. Send it as 'Authorization: Bearer sk-...'.",
            headers={"WWW-Authenticate": "Bearer"},
        )


class PermissionDenied(GatewayError):
    """The key is good and not allowed this."""

    status = 403
    type = "permission_error"


class NotFound(GatewayError):
    """Unknown route, model, job, file or batch; also another account's."""

    status = 404
    type = "not_found_error"


class RateLimited(GatewayError):
    """Over a limit of the plan; `retry_after_s` says when it may fit again."""

    status = 429
    type = "rate_limit_error"


class DailyQuotaReached(RateLimited):
    """The day's tokens are used up. `event` is what others are to be told of it, None where they were today."""

    def __init__(
        self, message: str, *, event: dict[str, Any] | None, retry_after_s: int, headers: dict[str, str]
    ) -> None:
        super().__init__(message, reason="daily_quota_exceeded", retry_after_s=retry_after_s, headers=headers)
        self.event = event


class ServerError(GatewayError):
    """Ours. The message is the same for all causes; the log has the rest."""

    def __init__(
        self,
        message: str = "The server failed to answer. The failure is logged under the request id.",
        *,
        reason: Reason | None = None,
    ) -> None:
        super().__init__(message, reason=reason)


class ServiceUnavailable(GatewayError):
    """Nothing can take the request now; it may be sent again after `retry_after_s`."""

    status = 503
    type = "service_unavailable"


class UpstreamTimeout(GatewayError):
    """The model did not answer within its time."""

    status = 504
    type = "timeout_error"


class Unsettled(Exception):
    """The ledger could not take a settlement now. Nothing of it has taken effect that a repeat would double."""


class LeaseGone(Exception):
    """The request holds no lease any more: it was settled before, or swept."""


class SearchFailed(Exception):
    """The search back end gave no usable answer: refused, broken, too slow or too large."""


class OutboundFailed(Exception):
    """A call to a client's URL came to nothing. The message names no address: it may be told to that client."""
