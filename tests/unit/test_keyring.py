"""An account's keys: made, switched, deleted; never more than the plan has, never without somebody to make the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from gateway.application.keyring import ATTEMPTS, Keyring
from gateway.catalogue import load_catalogue
from gateway.domain.admission import Account, KeyRecord
from gateway.domain.errors import NotFound, PermissionDenied, ServiceUnavailable
from gateway.domain.keys import hash_key, parse_key

from tests.support.accounts import CHAT_ONLY, EVERYTHING, Customer, key_record, new_customer, new_key
from tests.support.clock import NOON_S, ManualClock
from tests.support.fake_ledger import Books, FakeAccounts
from tests.support.fakes import NumberedIds

pytestmark = pytest.mark.anyio


class RacedAccounts(FakeAccounts):
    """Accounts that somebody else changes just before our first `times` writes."""

    def __init__(self, books: Books, clock: ManualClock, *, times: int, change: Callable[[], None]) -> None:
        super().__init__(books, clock)
        self._left = times
        self._change = change

    async def replace_keys(self, account: Account, keys: Mapping[str, KeyRecord]) -> bool:
        if self._left:
            self._left -= 1
            self._change()
        return await super().replace_keys(account, keys)


class Desk:
    """A keyring over one customer."""

    def __init__(self, *, races: int = 0, change: Callable[[Desk], None] = lambda _: None, **settings: Any) -> None:
        self.customer: Customer = new_customer(**{"plan": "pro", **settings})
        self.books = Books()
        clock = ManualClock()
        self.accounts = RacedAccounts(self.books, clock, times=races, change=lambda: self._race(change))
        self.keyring = Keyring(self.accounts, load_catalogue(), NumberedIds(), clock)

    def _race(self, change: Callable[[Desk], None]) -> None:
        page = self.books.pages[self.customer.account.id]
        page.account = replace(page.account, keys_version=page.account.keys_version + 1)
        change(self)

    async def open(self) -> Desk:
        await self.accounts.create(self.customer.account)
        return self

    def set_keys(self, keys: Mapping[str, KeyRecord]) -> None:
        page = self.books.pages[self.customer.account.id]
        page.account = replace(page.account, keys=keys)

    async def account(self) -> Account:
        account = await self.accounts.read(self.customer.account.id)
        assert account is not None
        return account


async def test_a_new_key_is_shown_once_and_kept_as_its_hash() -> None:
    desk = await Desk().open()
    record, text = await desk.keyring.create(await desk.account(), name="laptop", scopes=CHAT_ONLY)
    key = parse_key(text)
    assert key is not None
    assert (key.account_id, key.key_id, key.hash) == (desk.customer.account.id, record.id, hash_key(text))
    assert record == KeyRecord(
        id=key.key_id, hash=hash_key(text), name="laptop", enabled=True, scopes=CHAT_ONLY, created_s=NOON_S
    )
    keys = (await desk.account()).keys
    assert keys == {**desk.customer.account.keys, record.id: record}
    assert text not in repr(keys)


@pytest.mark.parametrize(("plan", "room"), [("free", 1), ("pro", 2)])
async def test_there_are_never_more_keys_than_the_plan_has_room_for(plan: str, room: int) -> None:
    desk = await Desk(plan=plan).open()
    for _ in range(room - 1):
        await desk.keyring.create(await desk.account(), name="x", scopes=CHAT_ONLY)
    with pytest.raises(PermissionDenied) as caught:
        await desk.keyring.create(await desk.account(), name="x", scopes=CHAT_ONLY)
    assert caught.value.reason == "key_limit_reached"
    assert f"room for {room} key" in caught.value.message
    assert len((await desk.account()).keys) == room


async def test_a_plan_of_one_key_changes_it_in_one_write() -> None:
    desk = await Desk(plan="free").open()
    old = desk.customer.key.key_id
    record, _ = await desk.keyring.create(await desk.account(), name="new", scopes=EVERYTHING, replaces=old)
    assert list((await desk.account()).keys) == [record.id]
    with pytest.raises(NotFound):
        await desk.keyring.create(await desk.account(), name="new", scopes=EVERYTHING, replaces=old)


async def test_a_key_is_switched_off_and_on_again() -> None:
    desk = await Desk().open()
    record, _ = await desk.keyring.create(await desk.account(), name="x", scopes=CHAT_ONLY)
    for enabled in (False, True):
        changed = await desk.keyring.set_enabled(await desk.account(), record.id, enabled=enabled)
        assert changed == replace(record, enabled=enabled)
        assert (await desk.account()).keys[record.id] == changed


async def test_a_deleted_key_is_gone_and_the_others_stay() -> None:
    desk = await Desk().open()
    record, _ = await desk.keyring.create(await desk.account(), name="x", scopes=CHAT_ONLY)
    await desk.keyring.delete(await desk.account(), record.id)
    assert (await desk.account()).keys == desk.customer.account.keys


@pytest.mark.parametrize("verb", ["delete", "disable", "replace"])
async def test_the_last_key_that_can_make_the_next_one_stays(verb: str) -> None:
    desk = await Desk().open()
    account, own = await desk.account(), desk.customer.key.key_id
    changes: dict[str, Callable[[], Awaitable[Any]]] = {
        "delete": lambda: desk.keyring.delete(account, own),
        "disable": lambda: desk.keyring.set_enabled(account, own, enabled=False),
        "replace": lambda: desk.keyring.create(account, name="x", scopes=CHAT_ONLY, replaces=own),
    }
    with pytest.raises(PermissionDenied) as caught:
        await changes[verb]()
    assert caught.value.reason == "last_admin_key"
    assert (await desk.account()).keys == desk.customer.account.keys


async def test_a_disabled_admin_key_does_not_count_as_the_next_ones_maker() -> None:
    desk = await Desk().open()
    second, _ = await desk.keyring.create(await desk.account(), name="x", scopes=EVERYTHING)
    await desk.keyring.set_enabled(await desk.account(), second.id, enabled=False)
    with pytest.raises(PermissionDenied):
        await desk.keyring.delete(await desk.account(), desk.customer.key.key_id)


@pytest.mark.parametrize("key_id", ["nothere0", "x" * 500])
async def test_a_key_that_is_not_the_accounts_is_not_found(key_id: str) -> None:
    desk = await Desk().open()
    account = await desk.account()
    for change in (desk.keyring.delete(account, key_id), desk.keyring.set_enabled(account, key_id, enabled=True)):
        with pytest.raises(NotFound) as caught:
            await change
        assert caught.value.reason == "key_not_found"
        assert len(caught.value.message) < 80


async def test_a_change_that_somebody_else_was_faster_than_is_made_again_on_what_is_there_then() -> None:
    _, other = new_key("a" * 12)
    desk = await Desk(
        races=ATTEMPTS - 1,
        change=lambda desk: desk.set_keys({**desk.customer.account.keys, other.key_id: key_record(other)}),
    ).open()
    with pytest.raises(PermissionDenied) as caught:
        await desk.keyring.create(await desk.account(), name="x", scopes=CHAT_ONLY)
    assert caught.value.reason == "key_limit_reached", "the other's key took the last place"
    await desk.keyring.delete(await desk.account(), other.key_id)


async def test_keys_that_are_always_being_changed_are_told_as_busy() -> None:
    desk = await Desk(races=ATTEMPTS).open()
    with pytest.raises(ServiceUnavailable) as caught:
        await desk.keyring.create(await desk.account(), name="x", scopes=CHAT_ONLY)
    assert caught.value.retry_after_s == 1
    assert (await desk.account()).keys == desk.customer.account.keys


async def test_the_keys_of_an_account_that_is_not_there_are_not_found() -> None:
    desk = Desk()
    with pytest.raises(NotFound):
        await desk.keyring.create(desk.customer.account, name="x", scopes=CHAT_ONLY)
