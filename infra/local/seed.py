"""The account that the local stack starts with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.bootstrap.parts.administering import Administering
from gateway.config import Settings
from gateway.domain.errors import InvalidRequest
from gateway.domain.keys import format_key

from infra.local.failure import CannotStart

# Fixed, so that examples can be pasted again after a restart. It opens nothing but a table on this machine.
_DEFAULT_KEY = format_key(account_id="localaccount", key_id="localkey", secret="DoNotUseThisKeyOutsideOfLocalRun")  # noqa: S106


def seed(environment: Mapping[str, str], api_key: str | None) -> str:
    """The key that opens the local account, made in the table that `environment` names.

    The process's own AWS variables say where that table is. Raises CannotStart.
    """
    key = api_key or _DEFAULT_KEY
    administration = Administering(Settings.from_environment(environment)).administration
    try:
        asyncio.run(administration.open_with_key(key, name="local", plan="pro"))
    except InvalidRequest:
        raise CannotStart(
            "API_KEY is not a key of this API: its form or its checksum is wrong. Leave it out for the fixed local key."
        ) from None
    return key
