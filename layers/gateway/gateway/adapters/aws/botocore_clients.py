"""botocore: one session a process, its clients, and its errors as ours.

Imported when a function first calls one of the services that are not on a generation's way (`clients.py`): the chat
function only for what failed or is rare.
"""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotocoreConnectionError
from urllib3.exceptions import HTTPError as Urllib3Error

from gateway.adapters.aws.wire.client import USER_AGENT
from gateway.adapters.aws.wire.errors import AwsRefusal, TransportFailed

TRANSPORT_ERRORS = (BotocoreConnectionError, HTTPClientError, Urllib3Error, OSError)
"""The connection failed: botocore's own errors, and urllib3's where a response body is read (botocore wraps only
what happens before the body)."""

CONNECT_TIMEOUT_S = 3
_CONFIGS: dict[str, dict[str, Any]] = {
    # links are signed by version 4 only where it is named; a checksum of the SDK's in a link would bind who uploads
    "s3": {"signature_version": "s3v4", "request_checksum_calculation": "when_required", "read_timeout": 25},
    "sqs": {"read_timeout": 25},
}
_DEFAULTS: dict[str, Any] = {"read_timeout": 10, "retries": {"mode": "standard", "total_max_attempts": 3}}


def new_session() -> Any:
    """A session: where botocore keeps credentials and what it has read of its own data."""
    return botocore.session.get_session()


def new_client(session: Any, service: str, *, connections: int) -> Any:
    """A client of a service; endpoint, region and credentials come from AWS's own variables."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        max_pool_connections=connections,
        tcp_keepalive=True,
        # AWS checks what we send; checking it here too, and spelling out botocore's own user agent for each call, is
        # a fifth of a call's CPU
        parameter_validation=False,
        user_agent=USER_AGENT,
        **{**_DEFAULTS, **_CONFIGS.get(service, {})},
    )
    return session.create_client(service, config=config)


def invoke(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
    """What the operation returns. Raises AwsRefusal, TransportFailed, and botocore's errors of what was not sent."""
    try:
        return getattr(client, operation)(**arguments)
    except ClientError as error:
        raise _refusal(error) from None
    except TRANSPORT_ERRORS as error:
        raise TransportFailed(f"{operation}: {type(error).__name__}") from error


def read(body: Any, amount: int | None) -> bytes:
    """So many bytes of an answer's body, or all that is left. Raises TransportFailed."""
    try:
        data: bytes = body.read(amount)
    except TRANSPORT_ERRORS as error:
        raise TransportFailed(f"read: {type(error).__name__}") from error
    return data


def _refusal(error: ClientError) -> AwsRefusal:
    told = error.response.get("Error", {})
    return AwsRefusal(
        str(told.get("Code", "")),
        str(told.get("Message", "")),
        status=int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)),
        operation=error.operation_name,
    )
