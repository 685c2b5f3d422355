"""Finishing: the answers of a batch's lines become its output file and its error file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from gateway.application.batching import Batches
from gateway.application.keeping import load
from gateway.application.ports import Blobs, Clock, JobQueue, Jobs
from gateway.domain.batches import (
    Batch,
    BatchStatus,
    BatchStep,
    File,
    answer_line,
    skipped_line,
)
from gateway.domain.errors import ServerError
from gateway.domain.jobs import KEPT_S, Blob, Job, JobEnd, JobStatus

JSONL = "application/jsonl"
WRITES_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishBatch:
    """Writes the answers of a batch whose lines have all ended.

    For a batch that was cancelled, or is past its window, the lines that wait are ended first.
    """

    jobs: Jobs
    queue: JobQueue
    blobs: Blobs
    batches: Batches
    clock: Clock

    async def __call__(self, account_id: str, batch_id: str) -> None:
        """Does what can be done now; does nothing while lines run."""
        batch: Batch | None = await self.batches.find(account_id, batch_id)
        assert batch is not None
        if self._has_expired(batch):
            times = {"expired": int(self.clock.now_s()), **batch.times}
            batch = await self.jobs.update_batch(replace(batch, times=times))
            if batch is None:
                return  # who changed it has sent another step
        if batch.status == "cancelling" or "expired" in batch.times:
            await self._end_waiting(batch, "cancelled" if batch.status == "cancelling" else "expired")
            batch = await self.batches.find(account_id, batch_id)
        if batch.status in ("in_progress", "cancelling") and batch.all_ended:
            batch = await self.batches.move(batch, "finalizing")
        if batch is not None and batch.status == "finalizing":
            await self._write_files(batch)

    async def remind(self) -> int:
        """Sends every batch to be finished whose window is over, or whose end nobody told; returns how many."""
        found = 0
        async for account_id, batch_id in self.jobs.open_batches():
            batch = await self.jobs.read_batch(account_id, batch_id)
            if batch is None or batch.status == "validating":
                continue
            if batch.all_ended or batch.status == "cancelling" or self._is_late(batch):
                await self.queue.send_step(BatchStep(account_id, batch_id, "finish"))
                found += 1
        return found

    def _has_expired(self, batch: Batch) -> bool:
        open_ = batch.status == "in_progress" and not batch.all_ended
        return open_ and "expired" not in batch.times and self._is_late(batch)

    def _is_late(self, batch: Batch) -> bool:
        return batch.expires_s <= self.clock.now_s()

    async def _end_waiting(self, batch: Batch, status: JobStatus) -> None:
        now_s = int(self.clock.now_s())
        writing = asyncio.Semaphore(WRITES_AT_ONCE)
        answer = Blob(inline=json.dumps(ServerError(f"The batch was {status} before the line ran.").body()))

        async def end(job: Job) -> None:
            try:
                await self.jobs.end(
                    JobEnd(ref=job.ref, status=status, answer=answer, http_status=0, ended_s=now_s),
                )
            finally:
                writing.release()

        async with asyncio.TaskGroup() as ending:
            async for job in self.jobs.lines(batch):
                if job.is_free(now_s):
                    await writing.acquire()
                    ending.create_task(end(job))

    async def _write_files(self, batch: Batch) -> None:
        output = await self._write_file(batch, "output", succeeded=True)
        errors = await self._write_file(batch, "errors", succeeded=False)
        done: BatchStatus = "completed"
        if batch.is_cancelled:
            done = "cancelled"
        elif "expired" in batch.times:
            done = "expired"
        batch = replace(
            batch, output_file_id=output.id if output else None, error_file_id=errors.id if errors else None
        )
        await self.batches.move(batch, done)

    async def _write_file(self, batch: Batch, what: str, *, succeeded: bool) -> File | None:
        """One of the batch's files; none where it would be empty. Its id is the batch's: a repeat writes it again."""
        key = f"files/{batch.account_id}/{batch.id}-{what}.jsonl"
        size = await self.blobs.write_stream(key, self._answers(batch, succeeded=succeeded), content_type=JSONL)
        if not size:
            await self.blobs.delete(key)
            return None
        if batch.outbox_prefix is not None:
            outbox_key = f"{batch.outbox_prefix}.{what}.jsonl"
            await self.blobs.write_stream(outbox_key, self.blobs.read_stream(key), content_type=JSONL)
        now_s = int(self.clock.now_s())
        file = File(
            id=f"file_{batch.id.removeprefix('batch_')}-{what}",
            account_id=batch.account_id,
            filename=f"{batch.id}-{what}.jsonl",
            purpose="batch_output",
            bytes=size,
            created_s=now_s,
            expires_s=now_s + KEPT_S,
            blob_key=key,
        )
        await self.jobs.add_file(file)
        return file

    async def _answers(self, batch: Batch, *, succeeded: bool) -> AsyncIterator[bytes]:
        async for job in self.jobs.lines(batch):
            if (job.status == "succeeded") == succeeded and job.answer is not None:
                yield json.dumps(await self._answer(batch, job, job.answer)).encode() + b"\n"

    async def _answer(self, batch: Batch, job: Job, answer: Blob) -> object:
        line, custom_id = job.line or 0, job.custom_id or ""
        if job.status in ("cancelled", "expired"):
            return skipped_line(batch_id=batch.id, line=line, custom_id=custom_id, status=job.status)
        body = json.loads(await load(self.blobs, answer))
        if "custom_id" in body:  # a line that never became a request tells of itself
            return body
        return answer_line(
            batch_id=batch.id,
            line=line,
            custom_id=custom_id,
            status=job.http_status or 0,
            request_id=job.ref.job_id,
            body=body,
        )
