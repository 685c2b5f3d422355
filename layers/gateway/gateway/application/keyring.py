"""An account's keys: made, listed, switched and deleted by a key that may (scope `admin`), or by the operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.application.ports import Accounts, Clock, Ids
from gateway.catalogue import Catalogue
from gateway.domain.admission import Account, KeyRecord, Scope
from gateway.domain.errors import NotFound, PermissionDenied, ServiceUnavailable
from gateway.domain.keys import format_key, hash_key

ATTEMPTS = 5
Keys = Mapping[str, KeyRecord]


@dataclass(frozen=True, slots=True)
class Keyring:
    """Changes to an account's keys. Each is one conditional write, repeated if somebody else changed them meanwhile."""

    accounts: Accounts
    catalogue: Catalogue
    ids: Ids
    clock: Clock

    async def create(
        self, account: Account, *, name: str, scopes: frozenset[Scope], replaces: str | None = None
    ) -> tuple[KeyRecord, str]:
        """A new key and its text, which is shown now and never again.

        `replaces` takes the place of another key in the same write: so a plan of one key can change it.
        Raises PermissionDenied where the plan has no room for one more, NotFound where there is nothing to replace.
        """
        key_id, secret = self.ids.key_id(), self.ids.key_secret()
        text = format_key(account_id=account.id, key_id=key_id, secret=secret)
        record = KeyRecord(
            id=key_id,
            hash=hash_key(text),
            name=name,
            enabled=True,
            scopes=scopes,
            created_s=int(self.clock.now_s()),
        )

        def add(now: Account) -> Keys:
            most = self.catalogue.plans[now.plan].max_keys
            kept = dict(now.keys)
            if replaces is not None:
                del kept[find_key(now, replaces).id]
            if len(kept) >= most:
                raise PermissionDenied(
                    f"The plan '{now.plan}' has room for {most} key{'s' if most > 1 else ''}. "
                    "Delete one, or name the one that it 'replaces'.",
                    reason="key_limit_reached",
                )
            return _checked({**kept, key_id: record}, now)

        await self._change(account, add)
        return record, text

    async def set_enabled(self, account: Account, key_id: str, *, enabled: bool) -> KeyRecord:
        """The key as it is then; effective on the next request. Raises NotFound, PermissionDenied."""
        changed = await self._change(
            account, lambda now: _checked({**now.keys, key_id: replace(find_key(now, key_id), enabled=enabled)}, now)
        )
        return changed[key_id]

    async def delete(self, account: Account, key_id: str) -> None:
        """Removes the key; its usage history stays. Raises NotFound, PermissionDenied."""

        def remove(now: Account) -> Keys:
            find_key(now, key_id)
            return _checked({id_: key for id_, key in now.keys.items() if id_ != key_id}, now)

        await self._change(account, remove)

    async def _change(self, account: Account, change: Callable[[Account], Keys]) -> Keys:
        for _ in range(ATTEMPTS):
            keys = change(account)
            if await self.accounts.replace_keys(account, keys):
                return keys
            fresh = await self.accounts.read(account.id)
            if fresh is None:
                raise NotFound("The account does not exist.")
            account = fresh
        raise ServiceUnavailable("The keys are being changed by others. Retry.", retry_after_s=1)


def find_key(account: Account, key_id: str) -> KeyRecord:
    """The account's key of this id. Raises NotFound, for another account's key too."""
    key = account.keys.get(key_id)
    if key is None:
        raise NotFound(f"There is no key {key_id!r:.40}.", param="id", reason="key_not_found")
    return key


def _checked(keys: Keys, before: Account) -> Keys:
    """`keys`, if they leave somebody who can make the next key."""
    if any(_is_admin(key) for key in before.keys.values()) and not any(_is_admin(key) for key in keys.values()):
        raise PermissionDenied(
            "This is the last enabled key with the scope 'admin'; make another one first.", reason="last_admin_key"
        )
    return keys


def _is_admin(key: KeyRecord) -> bool:
    return key.enabled and "admin" in key.scopes
