"""Jobs, batches and files in memory, with the queue that brings them and the blobs behind them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from gateway.domain.batches import Batch, BatchStep, File
from gateway.domain.jobs import Callback, Job, JobEnd, JobRef
from gateway.domain.models import Model

Entry = TypeVar("Entry", Batch, File)


class FakeJobs:
    """Keeps the promises of `ports.Jobs`."""

    def __init__(self) -> None:
        self.by_ref: dict[JobRef, Job] = {}
        self.claims: dict[JobRef, str] = {}
        self._batches: dict[tuple[str, str], Batch] = {}
        self._files: dict[tuple[str, str], File] = {}
        self._counts: Counter[tuple[str, bool]] = Counter()

    async def add(self, job: Job) -> bool:
        await asyncio.sleep(0)
        return self.by_ref.setdefault(job.ref, job) == job

    async def read(self, ref: JobRef) -> Job | None:
        await asyncio.sleep(0)
        return self.by_ref.get(ref)

    async def claim(self, ref: JobRef, *, claim: str, now_s: int, until_s: int) -> Job | None:
        await asyncio.sleep(0)
        job = self.by_ref.get(ref)
        if job is None or job.ended or not (job.is_free(now_s) or self.claims.get(ref) == claim):
            return None
        self.claims[ref] = claim
        job = replace(job, status="running", claimed_until_s=until_s, started_s=job.started_s or now_s)
        self.by_ref[ref] = job
        return job

    async def release(self, ref: JobRef, *, claim: str) -> None:
        await asyncio.sleep(0)
        if self._holds(ref, claim):
            del self.claims[ref]
            self.by_ref[ref] = replace(self.by_ref[ref], status="queued", claimed_until_s=0)

    async def end(self, end: JobEnd) -> bool:
        await asyncio.sleep(0)
        return self.end_now(end)

    def end_now(self, end: JobEnd) -> bool:
        """What `end` does, as a part of the ledger's settlement."""
        job = self.by_ref.get(end.ref)
        if job is None or job.ended or (end.claim is not None and not self._holds(end.ref, end.claim)):
            return False
        self.by_ref[end.ref] = replace(
            job, status=end.status, answer=end.answer, http_status=end.http_status, ended_s=end.ended_s
        )
        if end.ref.batch_id is not None:
            self._counts[end.ref.batch_id, end.status == "succeeded"] += 1
        return True

    async def add_batch(self, batch: Batch) -> bool:
        await asyncio.sleep(0)
        return self._batches.setdefault((batch.account_id, batch.id), batch) == batch

    async def read_batch(self, account_id: str, batch_id: str) -> Batch | None:
        await asyncio.sleep(0)
        batch = self._batches.get((account_id, batch_id))
        return self._counted(batch) if batch else None

    async def update_batch(self, batch: Batch) -> Batch | None:
        await asyncio.sleep(0)
        if self._batches[batch.account_id, batch.id].revision != batch.revision:
            return None
        written = replace(batch, revision=batch.revision + 1)
        self._batches[batch.account_id, batch.id] = written
        return written

    async def list_batches(self, account_id: str, *, limit: int, after: str | None) -> tuple[list[Batch], bool]:
        await asyncio.sleep(0)
        page, more = _newest(self._batches, account_id, limit=limit, after=after)
        return [self._counted(batch) for batch in page], more

    async def open_batches(self) -> AsyncIterator[tuple[str, str]]:
        for batch in list(self._batches.values()):
            await asyncio.sleep(0)
            if not batch.ended:
                yield batch.account_id, batch.id

    async def lines(self, batch: Batch) -> AsyncIterator[Job]:
        own = [job for ref, job in self.by_ref.items() if ref.batch_id == batch.id]
        for job in sorted(own, key=lambda job: job.line or 0):
            await asyncio.sleep(0)
            yield self.by_ref[job.ref]

    async def add_file(self, file: File) -> None:
        await asyncio.sleep(0)
        self._files[file.account_id, file.id] = file

    async def read_file(self, account_id: str, file_id: str) -> File | None:
        await asyncio.sleep(0)
        return self._files.get((account_id, file_id))

    async def delete_file(self, account_id: str, file_id: str) -> None:
        await asyncio.sleep(0)
        self._files.pop((account_id, file_id), None)

    async def list_files(self, account_id: str, *, limit: int, after: str | None) -> tuple[list[File], bool]:
        await asyncio.sleep(0)
        return _newest(self._files, account_id, limit=limit, after=after)

    def _holds(self, ref: JobRef, claim: str) -> bool:
        job = self.by_ref.get(ref)
        return job is not None and job.status == "running" and self.claims.get(ref) == claim

    def _counted(self, batch: Batch) -> Batch:
        return replace(batch, completed=self._counts[batch.id, True], failed=self._counts[batch.id, False])


def _newest(
    entries: dict[tuple[str, str], Entry], account_id: str, *, limit: int, after: str | None
) -> tuple[list[Entry], bool]:
    ids = sorted((id_ for owner, id_ in entries if owner == account_id), reverse=True)
    page = [id_ for id_ in ids if after is None or id_ < after]
    return [entries[account_id, id_] for id_ in page[:limit]], len(page) > limit


@dataclass(frozen=True)
class Sent:
    """A message, and after how long it is seen."""

    message: JobRef | BatchStep | Callback
    delay_s: int = 0


class FakeJobQueue:
    """Keeps the promises of `ports.JobQueue`; whoever wants the messages takes them out."""

    def __init__(self) -> None:
        self.jobs: dict[str, list[Sent]] = {}
        self.steps: list[Sent] = []
        self.callbacks: list[Sent] = []

    async def send_job(self, model: Model, ref: JobRef, *, delay_s: int = 0) -> None:
        await asyncio.sleep(0)
        self.jobs.setdefault(model.id, []).append(Sent(ref, delay_s))

    async def send_jobs(self, model: Model, refs: Sequence[JobRef]) -> None:
        for ref in refs:
            await self.send_job(model, ref)

    async def send_step(self, step: BatchStep, *, delay_s: int = 0) -> None:
        await asyncio.sleep(0)
        self.steps.append(Sent(step, delay_s))

    async def send_callback(self, callback: Callback, *, delay_s: int = 0) -> None:
        await asyncio.sleep(0)
        self.callbacks.append(Sent(callback, delay_s))


class FakeBlobs:
    """Keeps the promises of `ports.Blobs`; `part_bytes` is how finely a stream is cut."""

    def __init__(self, *, part_bytes: int = 7) -> None:
        self.kept: dict[str, bytes] = {}
        self._part_bytes = part_bytes

    async def write(self, key: str, data: bytes, *, content_type: str) -> None:
        await asyncio.sleep(0)
        self.kept[key] = data

    async def write_stream(self, key: str, parts: AsyncIterator[bytes], *, content_type: str) -> int:
        data = b"".join([part async for part in parts])
        self.kept[key] = data
        return len(data)

    async def read(self, key: str) -> bytes:
        await asyncio.sleep(0)
        return self.kept[key]

    async def read_stream(self, key: str) -> AsyncIterator[bytes]:
        data = self.kept[key]
        for start in range(0, len(data), self._part_bytes):
            await asyncio.sleep(0)
            yield data[start : start + self._part_bytes]

    async def size(self, key: str) -> int | None:
        await asyncio.sleep(0)
        return len(self.kept[key]) if key in self.kept else None

    async def delete(self, key: str) -> None:
        await asyncio.sleep(0)
        self.kept.pop(key, None)

    def url(self, key: str, *, seconds: int) -> str:
        return f"https://blobs.test/{key}?seconds={seconds}"

    def upload_url(self, key: str, *, seconds: int, content_type: str) -> str:
        return f"https://blobs.test/{key}?seconds={seconds}&type={content_type}"
