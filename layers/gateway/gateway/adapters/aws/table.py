"""Calls on the table: in a thread, repeated where DynamoDB says that a repeat may work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from gateway.adapters.aws._errors import TRANSPORT_ERRORS, code_of, is_passing
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.threads import call
from gateway.application.ports import Clock

ATTEMPTS = 6
"""A plain update meets TransactionConflictException while a settlement of the same account is under way; botocore
does not repeat that one. Six attempts with growing pauses outlast about ten settlements in a row."""
FIRST_PAUSE_S = 0.02
INDEX = "by-kind"


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
            "update_item", TableName=self.name, ReturnValuesOnConditionCheckFailure="ALL_OLD", **arguments
        )

    async def put_item(self, **arguments: Any) -> None:
        """PutItem. Raises ConditionFailed, TableUnavailable."""
        await self._call("put_item", TableName=self.name, **arguments)

    async def delete_item(self, key: dict[str, Any]) -> None:
        """DeleteItem. Raises TableUnavailable."""
        await self._call("delete_item", TableName=self.name, Key=key)

    async def get_item(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The item under `key`, strongly consistent, or None. Raises TableUnavailable."""
        answer = await self._call("get_item", TableName=self.name, Key=key, ConsistentRead=True)
        item: dict[str, Any] | None = answer.get("Item")
        return item

    async def query(self, **arguments: Any) -> dict[str, Any]:
        """One page of Query. Raises TableUnavailable."""
        return await self._call("query", TableName=self.name, **arguments)

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
        await self._call("transact_write_items", ClientRequestToken=token, TransactItems=items)

    async def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        function = getattr(self.clients.get("dynamodb"), operation)
        pause_s = FIRST_PAUSE_S
        for attempt in range(ATTEMPTS):
            if attempt:
                await self.clock.sleep(pause_s * (0.5 + self.clock.jitter()))
                pause_s *= 2
            try:
                answer: dict[str, Any] = await call(function, **arguments)
                return answer
            except TRANSPORT_ERRORS:
                continue  # it may have taken effect: every write of ours can be repeated
            except ClientError as error:
                _raise_unless_passing(error)
        raise TableUnavailable(operation)


def _raise_unless_passing(error: ClientError) -> None:
    code = code_of(error)
    if code == "ConditionalCheckFailedException":
        raise ConditionFailed(error.response.get("Item")) from None
    if code == "TransactionCanceledException":
        reasons = [str(reason.get("Code", "None")) for reason in error.response.get("CancellationReasons", [])]
        if "ConditionalCheckFailed" in reasons:
            raise TransactionRefused(reasons) from None
        return  # TransactionConflict, ThrottlingError, ProvisionedThroughputExceeded
    if not is_passing(error):
        raise error
