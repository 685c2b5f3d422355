"""What the operator does with accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from gateway.application.ports import Accounts, Clock, Ids
from gateway.catalogue import Catalogue
from gateway.domain.admission import Account, KeyRecord
from gateway.domain.errors import InvalidRequest, NotFound
from gateway.domain.keys import format_key, hash_key, parse_key
from gateway.domain.plans import Plan, limits_of


@dataclass(frozen=True, slots=True)
class Administration:
    """Opens, lists and changes accounts."""

    accounts: Accounts
    catalogue: Catalogue
    ids: Ids
    clock: Clock

    async def open(self, *, name: str, plan: str, hard_cap_tokens: int | None = None) -> tuple[Account, str]:
        """A new account and the text of its first key, which may everything and is shown now and never again.

        Raises InvalidRequest for a plan that does not exist.
        """
        text = format_key(account_id=self.ids.account_id(), key_id=self.ids.key_id(), secret=self.ids.key_secret())
        return await self.open_with_key(text, name=name, plan=plan, hard_cap_tokens=hard_cap_tokens), text

    async def open_with_key(self, text: str, *, name: str, plan: str, hard_cap_tokens: int | None = None) -> Account:
        """The account that this key names, new, opened by this key.

        Raises InvalidRequest for a key of the wrong form or an unknown plan, ValueError where the account exists.
        """
        key = parse_key(text)
        if key is None:
            raise InvalidRequest("The key's form or checksum is wrong.", param="key")
        now_s = int(self.clock.now_s())
        account = Account(
            id=key.account_id,
            name=name,
            plan=plan,
            active=True,
            created_s=now_s,
            limits=limits_of(self.plan(plan), hard_cap_tokens=hard_cap_tokens),
            hard_cap_tokens=hard_cap_tokens,
            keys={key.key_id: _first_key(key.key_id, hash_key(text), now_s)},
            keys_version=0,
            open={},
            tokens_today=0,
            requests_this_minute=0,
        )
        await self.accounts.create(account)
        return account

    async def find(self, account_id: str) -> Account:
        """The account. Raises NotFound."""
        account = await self.accounts.read(account_id)
        if account is None:
            raise NotFound(f"There is no account {account_id!r:.40}.")
        return account

    async def all(self) -> AsyncIterator[Account]:
        """Every account."""
        async for account_id in self.accounts.ids():
            account = await self.accounts.read(account_id)
            if account is not None:
                yield account

    async def set_active(self, account_id: str, *, active: bool) -> Account:
        """Suspends the account, or lets it work again; effective on the next request. Raises NotFound."""
        return await self._save(replace(await self.find(account_id), active=active))

    async def set_plan(self, account_id: str, *, plan: str) -> Account:
        """Moves the account to another plan; a hard cap stays. Raises NotFound, InvalidRequest."""
        account = await self.find(account_id)
        limits = limits_of(self.plan(plan), hard_cap_tokens=account.hard_cap_tokens)
        return await self._save(replace(account, plan=plan, limits=limits))

    async def set_cap(self, account_id: str, *, hard_cap_tokens: int | None) -> Account:
        """Sets the most tokens a day, or takes the cap away. Raises NotFound."""
        account = await self.find(account_id)
        limits = limits_of(self.plan(account.plan), hard_cap_tokens=hard_cap_tokens)
        return await self._save(replace(account, hard_cap_tokens=hard_cap_tokens, limits=limits))

    def plan(self, id_: str) -> Plan:
        """The plan of this id. Raises InvalidRequest naming those that exist."""
        plan = self.catalogue.plans.get(id_)
        if plan is None:
            raise InvalidRequest(f"There is no plan {id_!r:.40}; there are: {', '.join(self.catalogue.plans)}.")
        return plan

    async def _save(self, account: Account) -> Account:
        await self.accounts.update(account)
        return account


def _first_key(id_: str, hash_: str, now_s: int) -> KeyRecord:
    return KeyRecord(
        id=id_,
        hash=hash_,
        name="first",
        enabled=True,
        scopes=frozenset({"admin", "chat"}),
        created_s=now_s,
    )
