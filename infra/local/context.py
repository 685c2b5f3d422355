"""Lambda's context object."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from infra.local.credentials import ACCOUNT_ID, REGION


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What handlers and Powertools read of it."""

    function_name: str
    aws_request_id: str
    timeout_s: int
    memory_limit_in_mb: int = 512
    function_version: str = "$LATEST"
    _began_s: float = field(default_factory=time.monotonic)

    @property
    def invoked_function_arn(self) -> str:
        """The function's ARN."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """What is left of the function's timeout; nothing ends a handler that runs past it here."""
        return max(0, round((self._began_s + self.timeout_s - time.monotonic()) * 1000))
