"""What the SageMaker stand-in asks of an engine, and the failures of SageMaker that an engine can cause."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """An engine's answer whose body is still coming; each part becomes one `PayloadPart`."""

    status: int
    content_type: str
    parts: AsyncIterator[bytes]


class EnginePlug(Protocol):
    """An engine behind one endpoint."""

    def answer(self, body: bytes) -> AbstractAsyncContextManager[EngineAnswer]:
        """The engine's answer to an OpenAI chat body; leaving the context stops the generation at once.

        Entering raises Refusal where SageMaker itself would refuse. The parts raise StreamFault for a failure in
        the stream and ConnectionCut to drop the TCP connection.
        """
        ...


@dataclass(eq=False)
class Refusal(Exception):
    """An error of the service before any stream: `code` is the error's name, `fields` what its body adds."""

    status: int
    code: str
    message: str
    fields: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(eq=False)
class StreamFault(Exception):
    """An exception event in the stream: `ModelStreamError` with an `error_code`, or `InternalStreamFailure`."""

    kind: str
    message: str
    error_code: str | None = None


def cut(data: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    """`data` in pieces of at most the next sizes, in order and without holding any byte back."""
    start = 0
    while start < len(data):
        end = start + next(sizes)
        yield data[start:end]
        start = end
