"""Batches: a file of requests becomes jobs, and their answers become files again.

Every step may be delivered twice, or die in the middle and be delivered again: jobs have the id of their line, and a
batch moves from one status to the next by conditional writes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from gateway.application.enqueueing import keep, load, new_id
from gateway.application.orders import Orders
from gateway.application.ports import Blobs, Clock, Ids, JobQueue, Jobs
from gateway.application.requests import order_of
from gateway.domain.batches import (
    ENDPOINTS,
    MAX_FILE_BYTES,
    MAX_LINES,
    Batch,
    BatchStatus,
    BatchStep,
    File,
    LineSplitter,
    answer_line,
    broken_line,
    parse_line,
)
from gateway.domain.errors import GatewayError, InvalidRequest, NotFound
from gateway.domain.jobs import JOB_LIFETIME_S, KEPT_S, Blob, Job, JobEnd, JobRef, JobStatus
from gateway.domain.keys import ApiKey

CHUNK_LINES = 100
"""Lines turned into jobs between two notes of how far the file is read; so many may be looked at again."""
WRITES_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """Makes, splits, cancels and finishes batches."""

    jobs: Jobs
    queue: JobQueue
    blobs: Blobs
    orders: Orders
    clock: Clock
    ids: Ids

    async def create(
        self,
        *,
        key: ApiKey,
        input_file_id: str,
        endpoint: str,
        metadata: dict[str, str] | None,
        outbox_prefix: str | None = None,
    ) -> Batch:
        """A batch whose file is about to be read. Raises InvalidRequest, NotFound."""
        if endpoint not in ENDPOINTS:
            raise InvalidRequest(f"'endpoint' must be one of {', '.join(ENDPOINTS)}.", param="endpoint")
        file = await self.jobs.read_file(key.account_id, input_file_id)
        if file is None:
            raise NotFound(f"There is no file {input_file_id!r:.60}.", param="input_file_id", reason="file_not_found")
        if file.purpose != "batch":
            raise InvalidRequest("The file's purpose must be 'batch'.", param="input_file_id")
        now_s = int(self.clock.now_s())
        batch = Batch(
            id=new_id("batch_", now_s, self.ids),
            account_id=key.account_id,
            key_id=key.key_id,
            key_hash=key.hash,
            endpoint=endpoint,
            input_file_id=file.id,
            status="validating",
            created_s=now_s,
            expires_s=now_s + JOB_LIFETIME_S,
            metadata=metadata or {},
            outbox_prefix=outbox_prefix,
        )
        await self.jobs.add_batch(batch)
        await self.queue.send_step(BatchStep(batch.account_id, batch.id, "split"))
        return batch

    async def find(self, account_id: str, batch_id: str) -> Batch:
        """The account's batch. Raises NotFound, for another account's too."""
        batch = await self.jobs.read_batch(account_id, batch_id)
        if batch is None:
            raise NotFound(f"There is no batch {batch_id!r:.60}.", param="id", reason="batch_not_found")
        return batch

    async def cancel(self, batch: Batch) -> Batch:
        """Stops a batch: lines that wait are cancelled, lines that run still end. Raises InvalidRequest if it ended."""
        if batch.status not in ("validating", "in_progress", "cancelling"):
            raise InvalidRequest(f"The batch is {batch.status}; it can't be cancelled any more.", param="id")
        if batch.status != "cancelling":
            await self._move(batch, "cancelling")
        await self.queue.send_step(BatchStep(batch.account_id, batch.id, "finish"))
        return await self.find(batch.account_id, batch.id)

    async def split(self, account_id: str, batch_id: str) -> None:
        """Turns the lines of the batch's file into jobs, from where an earlier attempt came to."""
        batch = await self.find(account_id, batch_id)
        if batch.status != "validating":
            return
        file = await self.jobs.read_file(account_id, batch.input_file_id)
        try:
            if file is None or file.bytes > MAX_FILE_BYTES:
                raise InvalidRequest(f"The input file is gone, or over {MAX_FILE_BYTES} bytes.")
            batch = await self._split_lines(batch, file)
        except InvalidRequest as error:
            problem = {"code": "invalid_file", "message": error.message, "param": error.param, "line": None}
            await self._move(replace(batch, errors=(problem,)), "failed")
            return
        if await self._move(batch, "in_progress"):
            await self._finish_if_ended(batch)

    async def finish(self, account_id: str, batch_id: str) -> None:
        """Writes the answers of a batch whose lines have all ended.

        For a batch that was cancelled, or is past its window, the lines that wait are ended first.
        """
        batch = await self.find(account_id, batch_id)
        if batch.status == "cancelling":
            await self._end_waiting(batch, "cancelled", "The batch was cancelled.")
            batch = await self.find(account_id, batch_id)
        elif batch.status == "in_progress" and self._is_late(batch):
            await self._end_waiting(batch, "expired", "The batch's completion window is over.")
            batch = await self.find(account_id, batch_id)
        if batch.status in ("in_progress", "cancelling") and batch.all_ended:
            if not await self._move(batch, "finalizing"):
                return
            batch = await self.find(account_id, batch_id)
        if batch.status == "finalizing":
            await self._write_files(batch)

    async def _split_lines(self, batch: Batch, file: File) -> Batch:
        names: set[str] = set()
        chunk: list[Job] = []
        last = 0
        async for number, line in self._lines(file.blob_key):
            last = number
            if number > MAX_LINES:
                raise InvalidRequest(f"The file has more than {MAX_LINES} lines.")
            job = await self._job(batch, number, line, names)
            if number <= batch.read_lines:
                continue  # an earlier attempt came to here; only the names are still needed
            chunk.append(job)
            if len(chunk) == CHUNK_LINES:
                batch = await self._add(batch, chunk)
                chunk = []
        batch = await self._add(batch, chunk)
        if not last:
            raise InvalidRequest("The file has no lines.")
        return batch

    async def _add(self, batch: Batch, chunk: list[Job]) -> Batch:
        if not chunk:
            return batch
        writing = asyncio.Semaphore(WRITES_AT_ONCE)

        async def add(job: Job) -> None:
            async with writing:
                await self.jobs.add(replace(job, status="queued", answer=None))
                if job.ended:  # through the same door as every end, so that the batch counts it once
                    await self.jobs.end(_ended(job))

        await asyncio.gather(*(add(job) for job in chunk))
        by_model: dict[str, list[JobRef]] = {}
        for job in chunk:
            if not job.ended:
                by_model.setdefault(job.model, []).append(job.ref)
        for model, refs in by_model.items():
            await self.queue.send_jobs(self.orders.model(model), refs)
        assert chunk[-1].line is not None
        noted = replace(batch, read_lines=chunk[-1].line, total=batch.total + len(chunk))
        await self.jobs.update_batch(noted, expected="validating")
        return noted

    async def _job(self, batch: Batch, number: int, line: bytes, names: set[str]) -> Job:
        ref = JobRef(account_id=batch.account_id, job_id=f"{batch.id}-{number}", batch_id=batch.id)
        job = Job(
            ref=ref,
            key_id=batch.key_id,
            key_hash=batch.key_hash,
            endpoint=batch.endpoint,
            model="",
            request=Blob(inline="{}"),
            created_s=batch.created_s,
            expires_s=batch.expires_s,
            line=number,
        )
        custom_id = None
        try:
            parsed = parse_line(line, endpoint=batch.endpoint)
            custom_id = parsed.custom_id
            if custom_id in names:
                raise InvalidRequest("'custom_id' stands on an earlier line.", param="custom_id")
            names.add(custom_id)
            key = ApiKey(account_id=batch.account_id, key_id=batch.key_id, hash=batch.key_hash)
            order = order_of(self.orders, parsed.body, endpoint=batch.endpoint, key=key)
        except GatewayError as error:
            problem = broken_line(batch_id=batch.id, line=number, custom_id=custom_id, error=error)
            return replace(
                job,
                status="failed",
                custom_id=custom_id,
                answer=Blob(inline=json.dumps(problem)),
                http_status=error.status,
                ended_s=int(self.clock.now_s()),
            )
        text = json.dumps(parsed.body).encode()
        key_ = f"jobs/{ref.account_id}/{ref.job_id}/request.json"
        return replace(job, model=order.model.id, custom_id=custom_id, request=await keep(self.blobs, text, key=key_))

    async def _lines(self, blob_key: str) -> AsyncIterator[tuple[int, bytes]]:
        splitter = LineSplitter()
        async for part in self.blobs.read_stream(blob_key):
            for numbered in splitter.feed(part):
                yield numbered
        for numbered in splitter.end():
            yield numbered

    async def finish_late(self) -> int:
        """Sends every open batch whose window is over, or whose end nobody told, to be finished; returns how many."""
        found = 0
        async for account_id, batch_id in self.jobs.open_batches():
            batch = await self.jobs.read_batch(account_id, batch_id)
            if batch is None or batch.status == "validating":
                continue
            if batch.all_ended or self._is_late(batch):
                await self.queue.send_step(BatchStep(account_id, batch_id, "finish"))
                found += 1
        return found

    def _is_late(self, batch: Batch) -> bool:
        return batch.expires_s <= self.clock.now_s()

    async def _end_waiting(self, batch: Batch, status: JobStatus, why: str) -> None:
        now_s = int(self.clock.now_s())
        async for job in self.jobs.lines(batch):
            if job.status == "queued":
                error = InvalidRequest(why).body()
                await self.jobs.end(
                    JobEnd(
                        ref=job.ref,
                        status=status,
                        answer=Blob(inline=json.dumps(error)),
                        http_status=400,
                        ended_s=now_s,
                    )
                )

    async def _write_files(self, batch: Batch) -> None:
        output = await self._write_file(batch, "output", succeeded=True)
        errors = await self._write_file(batch, "errors", succeeded=False)
        done: BatchStatus = "completed"
        if "cancelling" in batch.times:
            done = "cancelled"
        elif self._is_late(batch) and batch.failed:
            done = "expired"
        batch = replace(
            batch, output_file_id=output.id if output else None, error_file_id=errors.id if errors else None
        )
        await self._move(batch, done)

    async def _write_file(self, batch: Batch, what: str, *, succeeded: bool) -> File | None:
        """One of the batch's files; none where it would be empty. Its id is the batch's: a repeat writes it again."""
        key = f"files/{batch.account_id}/{batch.id}-{what}.jsonl"
        size = await self.blobs.write_stream(
            key, self._answers(batch, succeeded=succeeded), content_type="application/jsonl"
        )
        if not size:
            await self.blobs.delete(key)
            return None
        if batch.outbox_prefix is not None:
            await self.blobs.write_stream(
                f"{batch.outbox_prefix}.{what}.jsonl",
                self.blobs.read_stream(key),
                content_type="application/jsonl",
            )
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
                yield await self._answer(batch, job)

    async def _answer(self, batch: Batch, job: Job) -> bytes:
        assert job.answer is not None
        assert job.line is not None
        body = json.loads(await load(self.blobs, job.answer))
        if "error" in body and "custom_id" in body:  # a line that never became a request tells of itself
            return json.dumps(body).encode() + b"\n"
        line = answer_line(
            batch_id=batch.id,
            line=job.line,
            custom_id=job.custom_id or "",
            status=job.http_status or 0,
            request_id=job.ref.job_id,
            body=body,
        )
        return json.dumps(line).encode() + b"\n"

    async def _finish_if_ended(self, batch: Batch) -> None:
        batch = await self.find(batch.account_id, batch.id)
        if batch.all_ended:
            await self.queue.send_step(BatchStep(batch.account_id, batch.id, "finish"))

    async def _move(self, batch: Batch, status: BatchStatus) -> bool:
        times = {**batch.times, status: int(self.clock.now_s())}
        return await self.jobs.update_batch(replace(batch, status=status, times=times), expected=batch.status)


def _ended(job: Job) -> JobEnd:
    assert job.answer is not None
    return JobEnd(
        ref=job.ref,
        status=job.status,
        answer=job.answer,
        http_status=job.http_status or 400,
        ended_s=job.ended_s or job.created_s,
    )
