"""Calls on the table, repeated where DynamoDB says that a repeat may work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from pydantic_core import from_json, to_json

from gateway.adapters.aws._errors import is_passing
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.wire.client import WireClient, read_refusal
from gateway.adapters.aws.wire.errors import AwsRefusal, TransportFailed
from gateway.application.ports import Clock

ATTEMPTS = 6
"""A plain update meets TransactionConflictException while a settlement of the same account is under way. Six attempts
with growing pauses outlast about ten settlements in a row."""
FIRST_PAUSE_S = 0.02
TRY_FOR_S = 8.0
"""No attempt begins later than this: of a table that is silent, a client is told in a quarter of a minute, and a
settlement goes to the outbox."""
TIMEOUT_S = 5.0
"""Every call is one item, one page or one transaction: what is silent for longer is lost, and sent again."""
INDEX = "by-kind"
_MOST_BYTES = 4 << 20
"""A page is 1 MB of items by DynamoDB's count, and more as JSON."""


class TableUnavailable(Exception):
    """DynamoDB could not be reached or refused for now, after all attempts. The last call may have taken effect."""


class ConditionFailed(Exception):
    """The condition of a write did not hold; `item` is the item as it was, None where there is none."""

    def __init__(self, item: dict[str, Any] | None) -> None:
        super().__init__("condition failed")
        self.item = item


class TransactionRefused(Exception):
    """A transaction was cancelled for good; `reasons` has a code for each of its items."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(f"transaction refused: {reasons}")
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Table:
    """One DynamoDB table."""

    clients: Clients
    name: str
    clock: Clock

    async def update_item(self, **arguments: Any) -> dict[str, Any]:
        """UpdateItem. Raises ConditionFailed with the old item, TableUnavailable."""
        return await self._call(
            "UpdateItem", TableName=self.name, ReturnValuesOnConditionCheckFailure="ALL_OLD", **arguments
        )

    async def put_item(self, **arguments: Any) -> None:
        """PutItem. Raises ConditionFailed, TableUnavailable."""
        await self._call("PutItem", TableName=self.name, **arguments)

    async def delete_item(self, key: dict[str, Any]) -> None:
        """DeleteItem. Raises TableUnavailable."""
        await self._call("DeleteItem", TableName=self.name, Key=key)

    async def get_item(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The item under `key`, strongly consistent, or None. Raises TableUnavailable."""
        answer = await self._call("GetItem", TableName=self.name, Key=key, ConsistentRead=True)
        item: dict[str, Any] | None = answer.get("Item")
        return item

    async def query(self, **arguments: Any) -> dict[str, Any]:
        """One page of Query. Raises TableUnavailable."""
        return await self._call("Query", TableName=self.name, **arguments)

    async def pages(self, **arguments: Any) -> AsyncIterator[dict[str, Any]]:
        """All items of a Query, page by page. Raises TableUnavailable."""
        start: dict[str, Any] = {}
        while True:
            page = await self.query(**arguments, **start)
            for item in page["Items"]:
                yield item
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    async def of_kind(self, kind: str) -> AsyncIterator[dict[str, Any]]:
        """The keys of all items of a kind, from the index `by-kind`. Raises TableUnavailable."""
        async for item in self.pages(
            IndexName=INDEX,
            KeyConditionExpression="#kind = :kind",
            ExpressionAttributeNames={"#kind": "kind"},
            ExpressionAttributeValues={":kind": {"S": kind}},
        ):
            yield item

    async def transact(self, *, token: str, items: list[dict[str, Any]]) -> None:
        """TransactWriteItems, safe to repeat under the same token for ten minutes.

        Raises TransactionRefused where a condition did not hold, TableUnavailable.
        """
        await self._call("TransactWriteItems", ClientRequestToken=token, TransactItems=items)

    async def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        client, body = self.clients.wire("dynamodb"), to_json(arguments)
        pause_s, until_s = FIRST_PAUSE_S, self.clock.elapsed_s() + TRY_FOR_S
        for attempt in range(ATTEMPTS):
            if attempt:
                if self.clock.elapsed_s() >= until_s:
                    break
                await self.clock.sleep(pause_s * (0.5 + self.clock.jitter()))
                pause_s *= 2
            try:
                return await _send(client, operation, body)
            except TransportFailed:
                continue  # it may have taken effect: every write of ours can be repeated
            except AwsRefusal as error:
                _raise_unless_passing(error)
        raise TableUnavailable(operation)


async def _send(client: WireClient, operation: str, body: bytes) -> dict[str, Any]:
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"DynamoDB_20120810.{operation}"}
    answer = await client.post("/", headers, body, timeout_s=TIMEOUT_S, repeatable=True, seen_through=True)
    try:
        if answer.status != 200:
            raise await read_refusal(answer, operation, most_bytes=_MOST_BYTES, timeout_s=TIMEOUT_S)
        data = await answer.whole(most_bytes=_MOST_BYTES, timeout_s=TIMEOUT_S)
    finally:
        answer.close()
    checksum = answer.headers.get(b"x-amz-crc32")
    if checksum is not None and int(checksum) != crc32(data):
        raise TransportFailed("an answer whose checksum is another")
    result: dict[str, Any] = from_json(data)
    return result


def _raise_unless_passing(error: AwsRefusal) -> None:
    if error.code == "ConditionalCheckFailedException":
        raise ConditionFailed(error.fields.get("Item")) from None
    if error.code == "TransactionCanceledException":
        reasons = [str(reason.get("Code", "None")) for reason in error.fields.get("CancellationReasons", [])]
        if "ConditionalCheckFailed" in reasons:
            raise TransactionRefused(reasons) from None
        return  # TransactionConflict, ThrottlingError, ProvisionedThroughputExceeded
    if not is_passing(error):
        raise error
