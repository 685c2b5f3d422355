"""Accounts on DynamoDB: the account's item, its days, and the index that lists accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from gateway.adapters.aws._errors import ledger_unavailable
from gateway.adapters.aws.items import (
    account_key,
    account_of,
    keys_value,
    new_account_item,
    number,
    settings_of,
    text,
)
from gateway.adapters.aws.table import ConditionFailed, Table, TableUnavailable
from gateway.application.ports import Clock
from gateway.domain.admission import Account, KeyRecord
from gateway.domain.usage import Breakdown, Dimension, Totals

_OPTIONAL_SETTINGS = ("limit_tokens", "cap")
_MEASURES = {
    "requests": "requests",
    "errors": "errors",
    "prompt": "prompt_tokens",
    "completion": "completion_tokens",
    "cost": "cost_nano_usd",
}


@dataclass(frozen=True, slots=True)
class DynamoAccounts:
    """Keeps the promises of `ports.Accounts`."""

    table: Table
    clock: Clock

    async def read(self, account_id: str) -> Account | None:
        """See `ports.Accounts.read`."""
        try:
            item = await self.table.get_item(account_key(account_id))
        except TableUnavailable:
            raise ledger_unavailable() from None
        return account_of(item, now_s=self.clock.now_s()) if item else None

    async def create(self, account: Account) -> None:
        """See `ports.Accounts.create`."""
        try:
            await self.table.put_item(Item=new_account_item(account), ConditionExpression="attribute_not_exists(pk)")
        except TableUnavailable:
            raise ledger_unavailable() from None
        except ConditionFailed:
            if await self.read(account.id) == account:
                return  # a repeat of our own write, whose first answer was lost
            raise ValueError(f"account {account.id} exists") from None

    async def replace_keys(self, account: Account, keys: Mapping[str, KeyRecord]) -> bool:
        """See `ports.Accounts.replace_keys`."""
        written = {"keys": keys_value(keys), "keys_version": number(account.keys_version + 1)}
        try:
            await self.table.update_item(
                Key=account_key(account.id),
                UpdateExpression="SET #keys = :keys, keys_version = :next",
                ConditionExpression="keys_version = :seen",
                ExpressionAttributeNames={"#keys": "keys"},
                ExpressionAttributeValues={
                    ":keys": written["keys"],
                    ":seen": number(account.keys_version),
                    ":next": written["keys_version"],
                },
            )
        except TableUnavailable:
            raise ledger_unavailable() from None
        except ConditionFailed as failure:
            # true for a repeat of our own write, whose first answer was lost
            return failure.item is not None and written.items() <= failure.item.items()
        return True

    async def update(self, account: Account) -> None:
        """See `ports.Accounts.update`."""
        settings = settings_of(account)
        removed = [name for name in _OPTIONAL_SETTINGS if name not in settings]
        expression = "SET " + ", ".join(f"#{name} = :{name}" for name in settings)
        if removed:
            expression += " REMOVE " + ", ".join(f"#{name}" for name in removed)
        try:
            await self.table.update_item(
                Key=account_key(account.id),
                UpdateExpression=expression,
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeNames={f"#{name}": name for name in (*settings, *removed)},
                ExpressionAttributeValues={f":{name}": value for name, value in settings.items()},
            )
        except TableUnavailable:
            raise ledger_unavailable() from None
        except ConditionFailed:
            raise KeyError(account.id) from None

    async def ids(self) -> AsyncIterator[str]:
        """See `ports.Accounts.ids`; read from the index, which trails the table by a moment."""
        try:
            async for item in self.table.of_kind("ACCOUNT"):
                yield item["pk"]["S"].removeprefix("ACCOUNT#")
        except TableUnavailable:
            raise ledger_unavailable() from None

    async def usage_by_day(self, account_id: str, *, first: str, last: str) -> dict[str, Breakdown]:
        """See `ports.Accounts.usage_by_day`."""
        try:
            return {
                item["sk"]["S"].removeprefix("DAY#"): _breakdown(item)
                async for item in self.table.pages(
                    KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                    ExpressionAttributeValues={
                        ":pk": account_key(account_id)["pk"],
                        ":first": text(f"DAY#{first}"),
                        ":last": text(f"DAY#{last}"),
                    },
                    ConsistentRead=True,
                )
            }
        except TableUnavailable:
            raise ledger_unavailable() from None


def _breakdown(item: Mapping[str, Any]) -> Breakdown:
    """The counters `dimension/value/measure` of a day's item; a value may hold slashes, a measure not."""
    sums: dict[tuple[Dimension, str], dict[str, int]] = {}
    for name, value in item.items():
        dimension, _, rest = name.partition("/")
        key, _, measure = rest.rpartition("/")
        if measure in _MEASURES:
            place = (cast(Dimension, dimension), key)
            sums.setdefault(place, {})[_MEASURES[measure]] = int(value["N"])
    return {place: Totals(**measures) for place, measures in sums.items()}
