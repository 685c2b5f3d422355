"""Secrets of AWS Secrets Manager."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gateway.adapters.aws.clients import Clients
from gateway.domain.errors import SearchFailed

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

KEPT_S = 300


class SecretsManagerKey:
    """A search back end's key, kept `kept_s` by Powertools; a rotated one is used within that time.

    Powertools' parameters import boto3, 0.2 s of CPU beside a botocore that is there already, so they are imported
    by the first search that needs a key.
    """

    def __init__(self, clients: Clients, secret_id: str, *, kept_s: int = KEPT_S) -> None:
        self._clients = clients
        self._secret_id = secret_id
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._provider: SecretsProvider | None = None

    def __call__(self) -> str:
        """The key. Blocks while it is read; raises SearchFailed where it can't be."""
        from aws_lambda_powertools.utilities.parameters import GetParameterError, SecretsProvider  # noqa: PLC0415

        with self._lock:
            if self._provider is None:
                self._provider = SecretsProvider(boto3_client=self._clients.get("secretsmanager"))
            try:
                return str(self._provider.get(self._secret_id, max_age=self._kept_s))
            except GetParameterError:
                raise SearchFailed("the key of the search back end can't be read") from None
