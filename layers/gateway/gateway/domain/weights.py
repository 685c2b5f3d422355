"""Files of weights on their way from a hub to a bucket: what each must contain, and in which parts it goes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

MAX_PARTS = 10_000
"""S3 takes so many parts of one object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFile:
    """A file as its hub describes it.

    `digest` is the hexadecimal checksum of its content: SHA-256 of large files, and of small ones the id that Git gives
    them, which is all that a hub tells of those.
    """

    name: str
    url: str
    algorithm: Literal["sha256", "git-sha1"]
    digest: str
    size_bytes: int

    def new_hash(self) -> Any:
        """The hash that the whole content goes through to give `digest`."""
        if self.algorithm == "sha256":
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % self.size_bytes, usedforsecurity=False)

    def part_bytes(self, least: int) -> int:
        """How large a part is, so that there are no more than S3 takes."""
        return max(least, -(-self.size_bytes // MAX_PARTS))


def parts_of(blocks: Iterable[bytes], *, size_bytes: int) -> Iterator[bytes]:
    """The same bytes in parts of this size; the last is what is left. Nothing at all is one empty part."""
    part = bytearray()
    given = 0
    for block in blocks:
        part += block
        while len(part) >= size_bytes:
            yield bytes(part[:size_bytes])
            del part[:size_bytes]
            given += 1
    if part or not given:
        yield bytes(part)
