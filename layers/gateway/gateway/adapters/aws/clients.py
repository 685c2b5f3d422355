"""The ways to AWS that a process keeps: lean clients for every request's calls, botocore's for all others.

Each is made when first wanted, from AWS's own variables as they are then.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from gateway.adapters.aws.threads import THREADS, call
from gateway.adapters.aws.wire.client import WireClient
from gateway.adapters.aws.wire.credentials import CredentialSource, source_of

LIMITS = {"dynamodb": 16, "sagemaker-runtime": 1000}
"""Connections at work at once. A call of the table takes some 5 ms: sixteen do 3,000 a second, more than one process
can ask for. An engine's answer has its connection to itself for as long as it takes."""


class Clients:
    """Makes and keeps clients."""

    def __init__(self) -> None:
        self._wires: dict[str, WireClient] = {}
        self._credentials: CredentialSource | None = None
        self._session: Any = None
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def wire(self, service: str) -> WireClient:
        """The lean client of DynamoDB or SageMaker's runtime. Raises NoRegion, UnknownEndpoint."""
        client = self._wires.get(service)
        if client is None:
            with self._lock:
                client = self._wires.get(service) or self._make_wire(service)
                self._wires[service] = client
        return client

    def get(self, service: str) -> Any:
        """The botocore client of a service (botocore clients are thread-safe; making one is not)."""
        client = self._clients.get(service)
        if client is None:
            with self._lock:
                client = self._clients.get(service) or self._make(service)
                self._clients[service] = client
        return client

    def invoke(self, service: str, operation: str, **arguments: Any) -> Any:
        """One call by botocore, which blocks. Raises AwsRefusal, TransportFailed, BotoCoreError."""
        from gateway.adapters.aws.botocore_clients import invoke  # noqa: PLC0415

        return invoke(self.get(service), operation, arguments)

    async def call(self, service: str, operation: str, **arguments: Any) -> Any:
        """`invoke` in a thread."""
        return await call(lambda: self.invoke(service, operation, **arguments))

    async def read(self, body: Any, amount: int | None = None) -> bytes:
        """So many bytes of the body of such a call's answer, or all that is left. Raises TransportFailed."""
        from gateway.adapters.aws.botocore_clients import read  # noqa: PLC0415

        return await call(lambda: read(body, amount))

    def forget(self) -> None:
        """Drops clients, credentials and connections, so that the next use has fresh ones (SnapStart)."""
        with self._lock:
            forgotten = [*self._wires.values(), *self._clients.values()]
            self._wires = {}
            self._credentials = None
            self._session = None
            self._clients = {}
        for client in forgotten:
            client.close()

    def _make_wire(self, service: str) -> WireClient:
        if self._credentials is None:
            self._credentials = source_of(os.environ)
        return WireClient(service, os.environ, region=_region(), credentials=self._credentials, limit=LIMITS[service])

    def _make(self, service: str) -> Any:
        from gateway.adapters.aws.botocore_clients import new_client, new_session  # noqa: PLC0415

        if self._session is None:
            self._session = new_session()
        return new_client(self._session, service, connections=THREADS)


def _region() -> str:
    """The region that the environment names, or the profile that it chooses; empty where none does."""
    named = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    if named:
        return named
    from gateway.adapters.aws.botocore_clients import new_session  # noqa: PLC0415

    return new_session().get_config_variable("region") or ""
