"""Secrets of AWS Secrets Manager."""

from __future__ import annotations

import threading

from botocore.exceptions import BotoCoreError, ClientError

from gateway.adapters.aws.clients import Clients
from gateway.application.ports import Clock
from gateway.domain.errors import SearchFailed

KEPT_S = 300


class SecretsManagerKey:
    """A search back end's key, kept five minutes; a rotated one is used within that time.

    On botocore itself: Powertools' parameters import boto3, which is 0.5 s of CPU, in no layer of ours, and not on
    the path of a function that runs under the Lambda Web Adapter.
    """

    def __init__(self, clients: Clients, secret_id: str, clock: Clock) -> None:
        self._clients = clients
        self._secret_id = secret_id
        self._clock = clock
        self._lock = threading.Lock()
        self._key = ""
        self._until_s = 0.0

    def __call__(self) -> str:
        """The key. Blocks while it is read; raises SearchFailed where it can't be."""
        with self._lock:
            if self._clock.now_s() >= self._until_s:
                self._key = self._read()
                self._until_s = self._clock.now_s() + KEPT_S
            return self._key

    def _read(self) -> str:
        try:
            answer = self._clients.get("secretsmanager").get_secret_value(SecretId=self._secret_id)
        except (BotoCoreError, ClientError):
            raise SearchFailed("the key of the search back end can't be read") from None
        return str(answer.get("SecretString", ""))
