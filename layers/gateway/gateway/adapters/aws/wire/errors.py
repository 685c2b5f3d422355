"""What can go wrong on the way to AWS and back.

WireError
  AwsRefusal                AWS answered, and said no
  TransportFailed           the answer did not come, or not whole
    AnswerTimeout             within its time
    ConnectionLost            because the connection ended
  NoRegion                  there is nobody to call
  UnknownEndpoint
  CredentialsUnavailable    there is nothing to sign with
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class WireError(Exception):
    """Any of these."""


class AwsRefusal(WireError):
    """A refusal by the service; `fields` are the members of its error besides code and message."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int,
        operation: str,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{operation}: {code or status}" + (f": {message}" if message else ""))
        self.code = code
        self.status = status
        self.operation = operation
        self.fields = fields or {}

    @property
    def for_log(self) -> str:
        """What of it may stand in a log: its message may quote the request."""
        return f"{self.code or self.status} of {self.operation}"


class TransportFailed(WireError):
    """The call may have taken effect; its answer is not known."""


class AnswerTimeout(TransportFailed):
    """Nothing came for too long."""


class ConnectionLost(TransportFailed):
    """The connection ended. `heard` tells whether any of the answer had come, `taken` whether all was sent."""

    def __init__(self, why: str, *, heard: bool, taken: bool) -> None:
        super().__init__(why)
        self.heard = heard
        self.taken = taken


class NoRegion(WireError):
    """No region is named, so there is no endpoint to call."""


class UnknownEndpoint(WireError):
    """The environment asks for an endpoint whose name is not known here."""


class CredentialsUnavailable(WireError):
    """There is a source of credentials, and it gave none."""
