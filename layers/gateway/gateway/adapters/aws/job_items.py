"""Jobs as items of the table.

ACCOUNT#<id> / JOB#<id>       a job of its own
BATCH#<id>   / LINE#<number>  a job that is a line of a batch
BATCH#<id>   / COUNT#<shard>  how many lines of the batch have ended
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from gateway.adapters.aws.items import Item, Value, number, optional_number, optional_text, text
from gateway.domain.jobs import KEPT_S, Blob, Job, JobEnd, JobRef, JobStatus, count_shard

_CLAIMED = "#status = :running AND #claim = :claim"
_UNCLAIMED = "#status = :queued OR #status = :running"


def job_key(ref: JobRef) -> dict[str, Value]:
    """The primary key of a job. A batch line's job id ends with its line's number."""
    if ref.batch_id is None:
        return {"pk": text(f"ACCOUNT#{ref.account_id}"), "sk": text(f"JOB#{ref.job_id}")}
    return {"pk": text(f"BATCH#{ref.batch_id}"), "sk": text(f"LINE#{ref.job_id.rpartition('-')[2].zfill(9)}")}


def count_key(batch_id: str, shard: int) -> dict[str, Value]:
    """The primary key of one of a batch's counters."""
    return {"pk": text(f"BATCH#{batch_id}"), "sk": text(f"COUNT#{shard}")}


def end_job_items(table: str, end: JobEnd) -> list[dict[str, Any]]:
    """The items of a transaction that ends a job and counts it in its batch."""
    values = {
        ":status": text(end.status),
        ":answer": _blob(end.answer),
        ":http_status": number(end.http_status),
        ":ended": number(end.ended_s),
    }
    names = {"#status": "status", "#answer": "answer", "#http_status": "http_status", "#ended": "ended"}
    if end.claim is None:
        condition = _UNCLAIMED
        values |= {":queued": text("queued"), ":running": text("running")}
    else:
        condition = _CLAIMED
        values |= {":running": text("running"), ":claim": text(end.claim)}
        names["#claim"] = "claim"
    items = [
        {
            "Update": {
                "TableName": table,
                "Key": job_key(end.ref),
                "UpdateExpression": (
                    "SET #status = :status, #answer = :answer, #http_status = :http_status, #ended = :ended"
                ),
                "ConditionExpression": condition,
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values,
            }
        }
    ]
    if end.ref.batch_id is not None:
        items.append(
            {
                "Update": {
                    "TableName": table,
                    "Key": count_key(end.ref.batch_id, count_shard(end.ref.job_id)),
                    "UpdateExpression": "ADD #counted :one SET #expires = if_not_exists(#expires, :expires)",
                    "ExpressionAttributeNames": {
                        "#counted": "completed" if end.status == "succeeded" else "failed",
                        "#expires": "expires_at",
                    },
                    "ExpressionAttributeValues": {":one": number(1), ":expires": number(end.ended_s + KEPT_S)},
                }
            }
        )
    return items


def job_item(job: Job) -> Item:
    """A job that nobody has claimed yet."""
    numbers = {"created": job.created_s, "expires": job.expires_s, "expires_at": job.created_s + KEPT_S}
    texts = {
        "id": job.ref.job_id,
        "account": job.ref.account_id,
        "batch": job.ref.batch_id,
        "key": job.key_id,
        "key_hash": job.key_hash,
        "endpoint": job.endpoint,
        "model": job.model,
        "status": job.status,
        "callback_url": job.callback_url,
        "custom_id": job.custom_id,
        "metadata": None if job.metadata is None else json.dumps(job.metadata),
    }
    item: dict[str, Value] = {**job_key(job.ref), "request": _blob(job.request)}
    item |= {name: number(value) for name, value in numbers.items()}
    item |= {name: text(value) for name, value in texts.items() if value is not None}
    if job.line is not None:
        item["line"] = number(job.line)
    return item


def job_of(item: Item) -> Job:
    """The job that an item is."""
    metadata = optional_text(item, "metadata")
    return Job(
        ref=JobRef(account_id=item["account"]["S"], job_id=item["id"]["S"], batch_id=optional_text(item, "batch")),
        key_id=item["key"]["S"],
        key_hash=optional_text(item, "key_hash"),
        endpoint=item["endpoint"]["S"],
        model=item["model"]["S"],
        request=_blob_of(item["request"]),
        created_s=int(item["created"]["N"]),
        expires_s=int(item["expires"]["N"]),
        status=cast(JobStatus, item["status"]["S"]),
        claimed_until_s=optional_number(item, "claimed_until") or 0,
        started_s=optional_number(item, "started"),
        ended_s=optional_number(item, "ended"),
        answer=_blob_of(item["answer"]) if "answer" in item else None,
        http_status=optional_number(item, "http_status"),
        callback_url=optional_text(item, "callback_url"),
        metadata=None if metadata is None else json.loads(metadata),
        line=optional_number(item, "line"),
        custom_id=optional_text(item, "custom_id"),
    )


def _blob(blob: Blob) -> Value:
    return {"S": blob.inline} if blob.inline is not None else {"M": {"stored": text(blob.stored or "")}}


def _blob_of(value: Mapping[str, Any]) -> Blob:
    return Blob(inline=value["S"]) if "S" in value else Blob(stored=value["M"]["stored"]["S"])
