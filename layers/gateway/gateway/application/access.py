"""Who asks, where no generation is admitted: the account routes, and requests that are refused before admission."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.application.ports import Accounts, Clock
from gateway.domain.admission import Account, Scope, explain_denial
from gateway.domain.errors import AuthenticationFailed
from gateway.domain.keys import ApiKey, parse_key


def read_key(authorization: str | None) -> ApiKey:
    """The key of an `Authorization: Bearer sk-…` header. Raises AuthenticationFailed; costs no I/O."""
    scheme, _, credentials = (authorization or "").partition(" ")
    key = parse_key(credentials.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise AuthenticationFailed
    return key


@dataclass(frozen=True, slots=True)
class Access:
    """Looks a key up."""

    accounts: Accounts
    clock: Clock

    async def account_of(self, key: ApiKey, *, scope: Scope | None) -> Account:
        """The account that the key opens. Raises AuthenticationFailed, PermissionDenied.

        `scope` None asks only that the key is good.
        """
        account = await self.accounts.read(key.account_id)
        if account is None:
            raise AuthenticationFailed
        denial = explain_denial(account, key_id=key.key_id, key_hash=key.hash, scope=scope)
        if denial is not None:
            raise denial
        return account
