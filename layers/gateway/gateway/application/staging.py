"""Weights from their hub into the owner's bucket, where SageMaker reads them: as they are, checked, in a stream.

The ports stand here and not in `ports.py`: no function of the service has them, only the operator's command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.weights import WeightsFile, parts_of

PART_BYTES = 16 * 1024 * 1024
"""Small enough that a few at once fit into any machine's memory, large enough that 17 GB are a thousand calls."""


class CannotStage(Exception):
    """The weights can't be had or can't be kept; the message is one sentence with the remedy."""


class Hub(Protocol):
    """Where weights are published."""

    def names(self, repository: str) -> Sequence[str]:
        """All files of a repository. Raises CannotStage."""
        ...

    def describe(self, repository: str, name: str) -> WeightsFile:
        """Where a file is and what it must contain. Raises CannotStage, also where the hub tells no checksum."""
        ...

    def blocks(self, file: WeightsFile, *, start: int = 0) -> Iterator[bytes]:
        """The content from byte `start` on. A connection that breaks is taken up where it broke; raises CannotStage
        when that leads nowhere."""
        ...


class Upload(Protocol):
    """One object on its way into the bucket."""

    def put(self, number: int, part: bytes) -> None:
        """Part `number`, from 1. What an earlier run has put there with the same content is not sent again."""
        ...

    def complete(self) -> None:
        """Makes the object of the parts, and marks it with the file's checksum."""
        ...

    def abandon(self) -> None:
        """Removes the parts."""
        ...


class Bucket(Protocol):
    """The owner's bucket."""

    def ready(self, *, create: bool) -> None:
        """Returns where the bucket is there and SageMaker may read from it; makes it, closed to the public, where it is
        not and `create` says so. Raises CannotStage."""
        ...

    def holds(self, key: str, file: WeightsFile) -> bool:
        """Whether the object is there with this very content."""
        ...

    def upload(self, key: str, file: WeightsFile) -> AbstractContextManager[Upload]:
        """Begins the object, or goes on where an earlier run stopped. Left without `complete`, the parts stay for the
        next run."""
        ...


Progress = Callable[[WeightsFile, int], None]
"""Told of a file and how many of its bytes have come."""


@dataclass(frozen=True, slots=True)
class StageWeights:
    """Puts files of a repository under a prefix."""

    hub: Hub
    bucket: Bucket
    progress: Progress
    part_bytes: int = PART_BYTES

    def __call__(self, *, repository: str, names: Sequence[str], prefix: str, create_bucket: bool = False) -> list[str]:
        """The keys, each holding what the hub says it must. All files of the repository where none is named.

        A run that is stopped loses nothing that has arrived: the next one reads it from the hub again, since all bytes
        must go through the checksum, but does not send it again. Raises CannotStage.
        """
        files = [self.hub.describe(repository, name) for name in names or self.hub.names(repository)]
        self.bucket.ready(create=create_bucket)
        keys = []
        for file in files:
            key = f"{prefix}/{file.name}"
            if not self.bucket.holds(key, file):
                self._transfer(file, key)
            self.progress(file, file.size_bytes)
            keys.append(key)
        return keys

    def _transfer(self, file: WeightsFile, key: str) -> None:
        digest, come = file.new_hash(), 0
        size_bytes = file.part_bytes(self.part_bytes)
        with self.bucket.upload(key, file) as upload:
            for number, part in enumerate(parts_of(self.hub.blocks(file), size_bytes=size_bytes), start=1):
                digest.update(part)
                upload.put(number, part)
                come += len(part)
                self.progress(file, come)
            if digest.hexdigest() != file.digest:
                upload.abandon()
                raise CannotStage(
                    f"What came for {file.name} does not have the checksum that the hub tells; "
                    "it is removed, try again."
                )
            upload.complete()
