"""Jobs, batches and files on DynamoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from gateway.adapters.aws._errors import ledger_unavailable
from gateway.adapters.aws.batch_items import batch_item, batch_key, batch_of, file_item, file_key, file_of
from gateway.adapters.aws.items import Item, number, text
from gateway.adapters.aws.job_items import end_job_items, job_item, job_key, job_of
from gateway.adapters.aws.table import ConditionFailed, Table, TableUnavailable, TransactionRefused
from gateway.domain.batches import Batch, File
from gateway.domain.jobs import Job, JobEnd, JobRef

_STATUS = {"#status": "status"}


LONGEST_PARTITION_KEY_BYTES = 2048
LONGEST_SORT_KEY_BYTES = 1024
"""DynamoDB's limits: it refuses to look for what a longer id would name."""


@dataclass(frozen=True, slots=True)
class DynamoJobs:
    """Keeps the promises of `ports.Jobs`."""

    table: Table

    async def add(self, job: Job) -> bool:
        """See `ports.Jobs.add`."""
        return await self._put_if("attribute_not_exists(pk)", job_item(job))

    async def read(self, ref: JobRef) -> Job | None:
        """See `ports.Jobs.read`."""
        item = await self._get(job_key(ref))
        return job_of(item) if item else None

    async def claim(self, ref: JobRef, *, claim: str, now_s: int, until_s: int) -> Job | None:
        """See `ports.Jobs.claim`. A repeat of the same claim is granted again."""
        try:
            answer = await self.table.update_item(
                Key=job_key(ref),
                UpdateExpression=(
                    "SET #status = :running, #claim = :claim, #until = :until, #started = if_not_exists(#started, :now)"
                ),
                ConditionExpression=(
                    "#status = :queued OR (#status = :running AND (#until <= :now OR #claim = :claim))"
                ),
                ExpressionAttributeNames={
                    **_STATUS,
                    "#claim": "claim",
                    "#until": "claimed_until",
                    "#started": "started",
                },
                ExpressionAttributeValues={
                    ":running": text("running"),
                    ":queued": text("queued"),
                    ":claim": text(claim),
                    ":until": number(until_s),
                    ":now": number(now_s),
                },
                ReturnValues="ALL_NEW",
            )
        except ConditionFailed:
            return None
        except TableUnavailable:
            raise ledger_unavailable() from None
        return job_of(answer["Attributes"])

    async def release(self, ref: JobRef, *, claim: str) -> None:
        """See `ports.Jobs.release`."""
        try:
            await self.table.update_item(
                Key=job_key(ref),
                UpdateExpression="SET #status = :queued REMOVE #claim, #until",
                ConditionExpression="#status = :running AND #claim = :claim",
                ExpressionAttributeNames={**_STATUS, "#claim": "claim", "#until": "claimed_until"},
                ExpressionAttributeValues={
                    ":queued": text("queued"),
                    ":running": text("running"),
                    ":claim": text(claim),
                },
            )
        except ConditionFailed:
            return
        except TableUnavailable:
            raise ledger_unavailable() from None

    async def end(self, end: JobEnd) -> bool:
        """See `ports.Jobs.end`."""
        # one token for one content: DynamoDB refuses another content under a token it has seen
        token = sha256(repr(end).encode()).hexdigest()[:36]
        try:
            await self.table.transact(token=token, items=end_job_items(self.table.name, end))
        except TransactionRefused:
            return False
        except TableUnavailable:
            raise ledger_unavailable() from None
        return True

    async def add_batch(self, batch: Batch) -> bool:
        """See `ports.Jobs.add_batch`."""
        return await self._put_if("attribute_not_exists(pk)", batch_item(batch))

    async def read_batch(self, account_id: str, batch_id: str) -> Batch | None:
        """See `ports.Jobs.read_batch`."""
        item = await self._get(batch_key(account_id, batch_id))
        return await self._with_counts(item) if item else None

    async def update_batch(self, batch: Batch) -> Batch | None:
        """See `ports.Jobs.update_batch`."""
        written = replace(batch, revision=batch.revision + 1)
        values = {":seen": number(batch.revision)}
        done = await self._put_if("revision = :seen", batch_item(written), ExpressionAttributeValues=values)
        return written if done else None

    async def list_batches(self, account_id: str, *, limit: int, after: str | None) -> tuple[list[Batch], bool]:
        """See `ports.Jobs.list_batches`."""
        items, more = await self._newest(account_id, "BATCH#", limit=limit, after=after)
        return [await self._with_counts(item) for item in items], more

    async def open_batches(self) -> AsyncIterator[tuple[str, str]]:
        """See `ports.Jobs.open_batches`; read from the index, which trails the table by a moment."""
        try:
            async for item in self.table.of_kind("BATCH"):
                yield item["pk"]["S"].removeprefix("ACCOUNT#"), item["sk"]["S"].removeprefix("BATCH#")
        except TableUnavailable:
            raise ledger_unavailable() from None

    async def lines(self, batch: Batch) -> AsyncIterator[Job]:
        """See `ports.Jobs.lines`; read page by page, never all in memory."""
        async for item in self._batch_items(batch.id, "LINE#"):
            yield job_of(item)

    async def add_file(self, file: File) -> None:
        """See `ports.Jobs.add_file`."""
        await self._put(file_item(file))

    async def read_file(self, account_id: str, file_id: str) -> File | None:
        """See `ports.Jobs.read_file`."""
        item = await self._get(file_key(account_id, file_id))
        return file_of(item) if item else None

    async def delete_file(self, account_id: str, file_id: str) -> None:
        """See `ports.Jobs.delete_file`."""
        try:
            await self.table.delete_item(file_key(account_id, file_id))
        except TableUnavailable:
            raise ledger_unavailable() from None

    async def list_files(self, account_id: str, *, limit: int, after: str | None) -> tuple[list[File], bool]:
        """See `ports.Jobs.list_files`."""
        items, more = await self._newest(account_id, "FILE#", limit=limit, after=after)
        return [file_of(item) for item in items], more

    async def _with_counts(self, item: Item) -> Batch:
        completed = failed = 0
        async for count in self._batch_items(item["id"]["S"], "COUNT#"):
            completed += int(count.get("completed", {"N": "0"})["N"])
            failed += int(count.get("failed", {"N": "0"})["N"])
        return batch_of(item, completed=completed, failed=failed)

    async def _batch_items(self, batch_id: str, prefix: str) -> AsyncIterator[Item]:
        try:
            async for item in self.table.pages(
                KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
                ExpressionAttributeValues={":pk": text(f"BATCH#{batch_id}"), ":prefix": text(prefix)},
                ConsistentRead=True,
            ):
                yield item
        except TableUnavailable:
            raise ledger_unavailable() from None

    async def _newest(self, account_id: str, prefix: str, *, limit: int, after: str | None) -> tuple[list[Item], bool]:
        # ids begin with the time they were made, so the key's order is theirs; ~ sorts behind every id
        last = (prefix + (after if after is not None else "~")).encode()[:LONGEST_SORT_KEY_BYTES]
        try:
            page = await self.table.query(
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                ExpressionAttributeValues={
                    ":pk": text(f"ACCOUNT#{account_id}"),
                    ":first": text(prefix),
                    ":last": text(last.decode(errors="ignore")),
                },
                ConsistentRead=True,
                ScanIndexForward=False,
                Limit=limit + 2,
            )
        except TableUnavailable:
            raise ledger_unavailable() from None
        items = [item for item in page["Items"] if item["id"]["S"] != after]
        return items[:limit], len(items) > limit

    async def _get(self, key: dict[str, Any]) -> dict[str, Any] | None:
        sizes = {name: len(value["S"].encode()) for name, value in key.items()}
        if sizes["pk"] > LONGEST_PARTITION_KEY_BYTES or sizes["sk"] > LONGEST_SORT_KEY_BYTES:
            return None
        try:
            return await self.table.get_item(key)
        except TableUnavailable:
            raise ledger_unavailable() from None

    async def _put_if(self, condition: str, item: Item, **arguments: Any) -> bool:
        try:
            await self.table.put_item(
                Item=dict(item),
                ConditionExpression=condition,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **arguments,
            )
        except ConditionFailed as failure:
            return failure.item == item  # a repeat of our own write, whose first answer was lost
        except TableUnavailable:
            raise ledger_unavailable() from None
        return True

    async def _put(self, item: Item) -> None:
        try:
            await self.table.put_item(Item=dict(item))
        except TableUnavailable:
            raise ledger_unavailable() from None
