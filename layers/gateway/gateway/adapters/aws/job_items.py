"""Jobs, batches and files as items of the table.

ACCOUNT#<id> / JOB#<id>       a job of its own
BATCH#<id>   / LINE#<number>  a job that is a line of a batch
BATCH#<id>   / COUNT#<shard>  how many lines of the batch have ended
ACCOUNT#<id> / BATCH#<id>     a batch;  ACCOUNT#<id> / FILE#<id>  a file
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from gateway.adapters.aws.items import Item, Value, number, text
from gateway.domain.batches import Batch, BatchStatus, File
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


def batch_key(account_id: str, batch_id: str) -> dict[str, Value]:
    """The primary key of a batch."""
    return {"pk": text(f"ACCOUNT#{account_id}"), "sk": text(f"BATCH#{batch_id}")}


def file_key(account_id: str, file_id: str) -> dict[str, Value]:
    """The primary key of a file's record."""
    return {"pk": text(f"ACCOUNT#{account_id}"), "sk": text(f"FILE#{file_id}")}


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
    metadata = _text(item, "metadata")
    return Job(
        ref=JobRef(account_id=item["account"]["S"], job_id=item["id"]["S"], batch_id=_text(item, "batch")),
        key_id=item["key"]["S"],
        key_hash=_text(item, "key_hash"),
        endpoint=item["endpoint"]["S"],
        model=item["model"]["S"],
        request=_blob_of(item["request"]),
        created_s=int(item["created"]["N"]),
        expires_s=int(item["expires"]["N"]),
        status=cast(JobStatus, item["status"]["S"]),
        claimed_until_s=_number(item, "claimed_until") or 0,
        started_s=_number(item, "started"),
        ended_s=_number(item, "ended"),
        answer=_blob_of(item["answer"]) if "answer" in item else None,
        http_status=_number(item, "http_status"),
        callback_url=_text(item, "callback_url"),
        metadata=None if metadata is None else json.loads(metadata),
        line=_number(item, "line"),
        custom_id=_text(item, "custom_id"),
    )


def batch_item(batch: Batch) -> Item:
    """A batch; its counts stand on items of their own."""
    numbers = {
        "created": batch.created_s,
        "expires": batch.expires_s,
        "expires_at": batch.created_s + KEPT_S,
        "total": batch.total,
        "read_lines": batch.read_lines,
        "revision": batch.revision,
    }
    texts = {
        "id": batch.id,
        "account": batch.account_id,
        "key": batch.key_id,
        "key_hash": batch.key_hash,
        "endpoint": batch.endpoint,
        "input_file": batch.input_file_id,
        "status": batch.status,
        "output_file": batch.output_file_id,
        "error_file": batch.error_file_id,
        "outbox_prefix": batch.outbox_prefix,
        "metadata": json.dumps(dict(batch.metadata)),
        "errors": json.dumps([dict(error) for error in batch.errors]),
        "times": json.dumps(dict(batch.times)),
    }
    # the index `by-kind` holds the batches that have not ended
    kind = {} if batch.ended else {"kind": text("BATCH")}
    return {
        **batch_key(batch.account_id, batch.id),
        **kind,
        **{name: number(value) for name, value in numbers.items()},
        **{name: text(value) for name, value in texts.items() if value is not None},
    }


def batch_of(item: Item, *, completed: int, failed: int) -> Batch:
    """The batch that an item is, with these counts."""
    return Batch(
        id=item["id"]["S"],
        account_id=item["account"]["S"],
        key_id=item["key"]["S"],
        key_hash=_text(item, "key_hash"),
        endpoint=item["endpoint"]["S"],
        input_file_id=item["input_file"]["S"],
        status=cast(BatchStatus, item["status"]["S"]),
        created_s=int(item["created"]["N"]),
        expires_s=int(item["expires"]["N"]),
        metadata=json.loads(item["metadata"]["S"]),
        total=int(item["total"]["N"]),
        completed=completed,
        failed=failed,
        read_lines=int(item["read_lines"]["N"]),
        output_file_id=_text(item, "output_file"),
        error_file_id=_text(item, "error_file"),
        errors=tuple(json.loads(item["errors"]["S"])),
        times=json.loads(item["times"]["S"]),
        outbox_prefix=_text(item, "outbox_prefix"),
        revision=int(item["revision"]["N"]),
    )


def file_item(file: File) -> Item:
    """A file's record."""
    return {
        **file_key(file.account_id, file.id),
        "id": text(file.id),
        "account": text(file.account_id),
        "filename": text(file.filename),
        "purpose": text(file.purpose),
        "bytes": number(file.bytes),
        "created": number(file.created_s),
        "expires_at": number(file.expires_s),
        "blob": text(file.blob_key),
        "ready": {"BOOL": file.ready},
    }


def file_of(item: Item) -> File:
    """The file that a record is."""
    return File(
        id=item["id"]["S"],
        account_id=item["account"]["S"],
        filename=item["filename"]["S"],
        purpose=item["purpose"]["S"],
        bytes=int(item["bytes"]["N"]),
        created_s=int(item["created"]["N"]),
        expires_s=int(item["expires_at"]["N"]),
        blob_key=item["blob"]["S"],
        ready=item["ready"]["BOOL"],
    )


def _blob(blob: Blob) -> Value:
    return {"S": blob.inline} if blob.inline is not None else {"M": {"stored": text(blob.stored or "")}}


def _blob_of(value: Mapping[str, Any]) -> Blob:
    return Blob(inline=value["S"]) if "S" in value else Blob(stored=value["M"]["stored"]["S"])


def _text(item: Item, name: str) -> str | None:
    return item[name]["S"] if name in item else None


def _number(item: Item, name: str) -> int | None:
    return int(item[name]["N"]) if name in item else None
