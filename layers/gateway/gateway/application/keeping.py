"""What is kept for later: ids that sort by time, and texts where they fit."""

from __future__ import annotations

from gateway.application.ports import Blobs, Ids
from gateway.domain.jobs import Blob

INLINE_BYTES = 100_000
"""A larger text goes to the bucket: an item of the table holds 400 KB, and is paid by the kilobyte."""


def new_id(prefix: str, now_s: int, ids: Ids) -> str:
    """A fresh id that sorts by the time it was made."""
    return f"{prefix}{now_s:08x}{ids.request_id()}"


async def keep(blobs: Blobs, text: bytes, *, key: str) -> Blob:
    """The text as a blob: inline where it is small, in the bucket where it is not."""
    if len(text) <= INLINE_BYTES:
        return Blob(inline=text.decode())
    await blobs.write(key, text, content_type="application/json")
    return Blob(stored=key)


async def load(blobs: Blobs, blob: Blob) -> bytes:
    """The text that a blob is. Raises KeyError where the bucket has lost it."""
    return blob.inline.encode() if blob.inline is not None else await blobs.read(blob.stored or "")
