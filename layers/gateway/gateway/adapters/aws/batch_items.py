"""Batches and their files as items of the table.

ACCOUNT#<id> / BATCH#<id>  a batch;  ACCOUNT#<id> / FILE#<id>  a file
"""

from __future__ import annotations

import json
from typing import cast

from gateway.adapters.aws.items import Item, Value, number, optional_text, text
from gateway.domain.batches import Batch, BatchStatus, File
from gateway.domain.jobs import KEPT_S


def batch_key(account_id: str, batch_id: str) -> dict[str, Value]:
    """The primary key of a batch."""
    return {"pk": text(f"ACCOUNT#{account_id}"), "sk": text(f"BATCH#{batch_id}")}


def file_key(account_id: str, file_id: str) -> dict[str, Value]:
    """The primary key of a file's record."""
    return {"pk": text(f"ACCOUNT#{account_id}"), "sk": text(f"FILE#{file_id}")}


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
        key_hash=optional_text(item, "key_hash"),
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
        output_file_id=optional_text(item, "output_file"),
        error_file_id=optional_text(item, "error_file"),
        errors=tuple(json.loads(item["errors"]["S"])),
        times=json.loads(item["times"]["S"]),
        outbox_prefix=optional_text(item, "outbox_prefix"),
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
