"""Secrets of AWS Secrets Manager."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from gateway.domain.errors import SearchFailed

KEPT_S = 300


class SecretsManagerKey:
    """A search back end's key, kept five minutes; a rotated one is used within that time."""

    def __init__(self, secret_id: str) -> None:
        self._secret_id = secret_id

    def __call__(self) -> str:
        """The key. Raises SearchFailed where it can't be read."""
        from aws_lambda_powertools.utilities import parameters  # noqa: PLC0415 - only who searches pays its import

        try:
            return str(parameters.get_secret(self._secret_id, max_age=KEPT_S))
        except (parameters.GetParameterError, BotoCoreError, ClientError):
            raise SearchFailed("the key of the search back end can't be read") from None
