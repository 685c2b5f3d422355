"""botocore clients: one session a process, a client the first time it is wanted."""

from __future__ import annotations

import threading
from typing import Any

import botocore.session
from botocore.config import Config

CONNECT_TIMEOUT_S = 3
USER_AGENT = "studiolm-gateway"
POOL = 64
"""Connections a client keeps: one thread of the executor each."""

_CONFIGS = {
    # every call is one item or one transaction: what takes longer is lost, and botocore retries it
    "dynamodb": {"read_timeout": 5, "retries": {"mode": "standard", "total_max_attempts": 3}},
    # links are signed by version 4 only where it is named; a checksum of the SDK's in a link would bind who uploads
    "s3": {
        "signature_version": "s3v4",
        "request_checksum_calculation": "when_required",
        "read_timeout": 25,
        "retries": {"mode": "standard", "total_max_attempts": 3},
    },
    "sqs": {"read_timeout": 25, "retries": {"mode": "standard", "total_max_attempts": 3}},
    # a generation is never repeated behind the client's back; SageMaker ends a stream after 8 minutes
    "sagemaker-runtime": {"read_timeout": 490, "retries": {"mode": "standard", "total_max_attempts": 1}},
}
_DEFAULTS: dict[str, Any] = {"read_timeout": 10, "retries": {"mode": "standard", "total_max_attempts": 3}}


class Clients:
    """Makes and keeps botocore clients. Endpoints, region and credentials come from AWS's own variables."""

    def __init__(self) -> None:
        self._session: Any = None
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def get(self, service: str) -> Any:
        """The client of a service (botocore clients are thread-safe; making one is not)."""
        client = self._clients.get(service)
        if client is None:
            with self._lock:
                client = self._clients.get(service) or self._make(service)
                self._clients[service] = client
        return client

    def _make(self, service: str) -> Any:
        if self._session is None:
            self._session = botocore.session.get_session()
        options = {**_DEFAULTS, **_CONFIGS.get(service, {})}
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            max_pool_connections=POOL,
            tcp_keepalive=True,
            # AWS checks what we send, and the contracts check it on DynamoDB Local; checking it here too, and spelling
            # out botocore's own user agent for each call, is a fifth of a call's CPU (docs/benchmarks.md)
            parameter_validation=False,
            user_agent=USER_AGENT,
            **options,
        )
        return self._session.create_client(service, config=config)

    def forget(self) -> None:
        """Drops session and clients and closes their connections, so that the next use has fresh ones (SnapStart)."""
        with self._lock:
            forgotten = self._clients
            self._session = None
            self._clients = {}
        for client in forgotten.values():
            client.close()
