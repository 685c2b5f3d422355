"""Batches in OpenAI's shape: a file of requests in, a file of answers and a file of errors out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import from_json

from gateway.domain.errors import GatewayError, InvalidRequest

BatchStatus = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
ENDPOINTS = ("/v1/chat/completions", "/v1/completions")
COMPLETION_WINDOW = "24h"
MAX_LINES = 50_000
MAX_FILE_BYTES = 100_000_000
MAX_LINE_BYTES = 250_000
"""An item of the table holds 400 KB; a line's request must fit with room for the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """An uploaded or made file; its bytes are in the bucket under `blob_key`."""

    id: str
    account_id: str
    filename: str
    purpose: str
    bytes: int
    created_s: int
    expires_s: int
    blob_key: str
    ready: bool = True

    def to_json(self) -> dict[str, Any]:
        """The file as OpenAI's API shows it."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": self.created_s,
            "expires_at": self.expires_s,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed" if self.ready else "uploaded",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch. `read_lines` is how far its file was turned into jobs; `counts` are of all lines."""

    id: str
    account_id: str
    key_id: str
    key_hash: str | None
    endpoint: str
    input_file_id: str
    status: BatchStatus
    created_s: int
    expires_s: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    total: int = 0
    """Lines made into jobs so far, all once it is in progress; broken ones too, blank ones not."""
    completed: int = 0
    failed: int = 0
    read_lines: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: tuple[Mapping[str, Any], ...] = ()
    times: Mapping[str, int] = field(default_factory=dict)
    """When each status was reached, by its name."""
    outbox_prefix: str | None = None
    """Where the answers are also put, for a batch that came as an object in the inbox."""
    revision: int = 0
    """Counts the writes: who writes must have seen the last."""

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ("completed", "failed", "expired", "cancelled")

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody cancelled it; one that is being split is still `validating` then."""
        return "cancelling" in self.times

    @property
    def all_ended(self) -> bool:
        """Whether every line has ended."""
        return self.completed + self.failed >= self.total

    def to_json(self) -> dict[str, Any]:
        """The batch as OpenAI's API shows it."""
        times = {f"{name}_at": self.times.get(name) for name in _TIMES}
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "input_file_id": self.input_file_id,
            "completion_window": COMPLETION_WINDOW,
            "status": "cancelling" if self.is_cancelled and not self.ended else self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "errors": {"object": "list", "data": list(self.errors)} if self.errors else None,
            "created_at": self.created_s,
            "expires_at": self.expires_s,
            **times,
            "request_counts": {"total": self.total, "completed": self.completed, "failed": self.failed},
            "metadata": dict(self.metadata),
        }


@dataclass(frozen=True, slots=True)
class BatchStep:
    """What is to be done with a batch next: `split` its file into jobs, or `finish` it."""

    account_id: str
    batch_id: str
    step: Literal["split", "finish"]


_TIMES = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


class LineSplitter:
    """Bytes of a JSONL file cut anywhere in, numbered lines out; blank lines count and are skipped."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._number = 0

    def feed(self, part: bytes) -> Iterator[tuple[int, bytes]]:
        """The lines that this part completes. A line over the limit comes out cut: it fails as one line."""
        self._pending += part
        *whole, rest = self._pending.split(b"\n")
        # past the limit a line can only fail: its tail need not be kept
        self._pending = rest[: MAX_LINE_BYTES + 1]
        for line in whole:
            yield from self._numbered(bytes(line))

    def end(self) -> Iterator[tuple[int, bytes]]:
        """The last line where no newline ends it."""
        last, self._pending = bytes(self._pending), bytearray()
        yield from self._numbered(last)

    def _numbered(self, line: bytes) -> Iterator[tuple[int, bytes]]:
        self._number += 1
        if stripped := line.strip():
            # one over the limit may have been cut, so its end says nothing
            yield self._number, line if len(line) > MAX_LINE_BYTES else stripped


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A line that is well-formed; whether its body is a good request is for the request's own rules."""

    custom_id: str
    body: Mapping[str, Any]


def parse_line(line: bytes, *, endpoint: str) -> BatchLine:
    """The request in a line of a batch's file. Raises InvalidRequest naming the field."""
    if len(line) > MAX_LINE_BYTES:
        raise InvalidRequest(f"The line is over {MAX_LINE_BYTES} bytes.")
    try:
        value = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"The line is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequest("The line must be a JSON object with custom_id, method, url and body.")
    custom_id, body = value.get("custom_id"), value.get("body")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= 512:
        raise InvalidRequest("'custom_id' must be a string of 1 to 512 characters.", param="custom_id")
    if value.get("method", "POST") != "POST":
        raise InvalidRequest("'method' must be \"POST\".", param="method")
    if value.get("url", endpoint) != endpoint:
        raise InvalidRequest(f"'url' must be {endpoint!r}, the batch's endpoint.", param="url")
    if not isinstance(body, dict):
        raise InvalidRequest("'body' must be a request object.", param="body")
    if body.get("stream"):
        raise InvalidRequest("'body.stream' must be false in a batch.", param="body.stream")
    return BatchLine(custom_id, body)


def answer_line(*, batch_id: str, line: int, custom_id: str, status: int, request_id: str, body: Any) -> dict[str, Any]:
    """A line of the output or the error file, in OpenAI's shape."""
    return {
        "id": f"{batch_id}-{line}",
        "custom_id": custom_id,
        "response": {"status_code": status, "request_id": request_id, "body": body},
        "error": None,
    }


def broken_line(*, batch_id: str, line: int, custom_id: str | None, error: GatewayError) -> dict[str, Any]:
    """A line of the error file for a line that never became a request; it is told by its number."""
    return {
        "id": f"{batch_id}-{line}",
        "custom_id": custom_id,
        "response": None,
        "error": {"code": "invalid_line", "message": error.message, "param": error.param, "line": line},
    }


def skipped_line(
    *, batch_id: str, line: int, custom_id: str, status: Literal["cancelled", "expired"]
) -> dict[str, Any]:
    """A line of the error file for a request that never ran because its batch was over."""
    return {
        "id": f"{batch_id}-{line}",
        "custom_id": custom_id,
        "response": None,
        "error": {"code": f"batch_{status}", "message": f"The batch was {status} before this request ran."},
    }
