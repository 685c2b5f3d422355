"""Queued generation: a request that is answered later, alone or as a line of a batch.

A job runs for whoever claims it, one claim at a time, and its end is written in the same transaction that bills it:
so a message delivered twice, or a worker that died after the last token, neither generates nor bills twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"]
FINAL: frozenset[JobStatus] = frozenset({"succeeded", "failed", "cancelled", "expired"})

JOB_LIFETIME_S = 24 * 3600
"""A job that no worker could start for a day has expired."""
KEPT_S = 30 * 86_400
"""Jobs, files and batches are kept 30 days after they are made."""
COUNT_SHARDS = 8
"""A batch counts its ended lines on so many items: transactions on one would wait for each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRef:
    """Where a job is: what a queue's message holds."""

    account_id: str
    job_id: str
    batch_id: str | None = None


@dataclass(frozen=True, slots=True)
class Blob:
    """A text: here, or in the bucket under a key. Exactly one of the two is set."""

    inline: str | None = None
    stored: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One queued request.

    `key_hash` is None where a trusted event source asked in the account's name. `claimed_until_s` is when a running
    job is free again because its worker must have died. `line` is the job's line in its batch, `custom_id` its name.
    """

    ref: JobRef
    key_id: str
    key_hash: str | None
    endpoint: str
    model: str
    request: Blob
    created_s: int
    expires_s: int
    status: JobStatus = "queued"
    claimed_until_s: int = 0
    started_s: int | None = None
    ended_s: int | None = None
    answer: Blob | None = None
    """The answer's body where it succeeded, the error's where it failed."""
    http_status: int | None = None
    callback_url: str | None = None
    metadata: Mapping[str, str] | None = None
    line: int | None = None
    custom_id: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINAL

    def is_free(self, now_s: float) -> bool:
        """Whether a worker may claim it."""
        return self.status == "queued" or (self.status == "running" and self.claimed_until_s <= now_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How a job ended; written only while `claim` holds it, or, without one, whoever does.

    A worker whose job was ended under it has its answer dropped and is charged nothing."""

    ref: JobRef
    status: JobStatus
    answer: Blob
    http_status: int
    ended_s: int
    claim: str | None = None


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback to be made: the job's end is told to its `callback_url`. `attempt` counts from 1."""

    ref: JobRef
    attempt: int


def count_shard(job_id: str) -> int:
    """The counter of its batch that a line's end is added to."""
    return sum(job_id.encode()) % COUNT_SHARDS


def job_to_json(job: Job, *, answer: Any, answer_url: str | None) -> dict[str, Any]:
    """A job as the API shows it: `answer` is the parsed body where it is small, `answer_url` a link where it is not."""
    shown: dict[str, Any] = {
        "id": job.ref.job_id,
        "object": "job",
        "status": job.status,
        "endpoint": job.endpoint,
        "model": job.model,
        "created": job.created_s,
        "started": job.started_s,
        "ended": job.ended_s,
        "expires": job.expires_s,
        "callback_url": job.callback_url,
        "metadata": job.metadata or {},
        "result": None,
        "error": None,
    }
    if job.status == "succeeded":
        shown["result"], shown["result_url"] = answer, answer_url
    elif job.ended and isinstance(answer, dict):
        shown["error"] = answer.get("error")
    return shown
