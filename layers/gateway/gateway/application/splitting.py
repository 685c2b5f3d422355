"""Splitting: the lines of a batch's file become jobs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from gateway.application.batching import Batches
from gateway.application.keeping import keep
from gateway.application.orders import Orders
from gateway.application.ports import Blobs, Clock, JobQueue, Jobs
from gateway.application.requests import order_of
from gateway.domain.batches import (
    MAX_FILE_BYTES,
    MAX_LINES,
    Batch,
    BatchStatus,
    BatchStep,
    LineSplitter,
    broken_line,
    parse_line,
)
from gateway.domain.errors import GatewayError, InvalidRequest
from gateway.domain.jobs import Blob, Job, JobEnd, JobRef
from gateway.domain.keys import ApiKey

CHUNK_LINES = 100
"""Lines turned into jobs between two notes of how far the file is read; so many may be looked at again."""
WRITES_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitBatch:
    """Turns the lines of a batch's file into jobs, from where an earlier attempt came to."""

    jobs: Jobs
    queue: JobQueue
    blobs: Blobs
    orders: Orders
    batches: Batches
    clock: Clock

    async def __call__(self, account_id: str, batch_id: str) -> None:
        """Leaves the batch in progress, failed where its file is no good, or cancelling where that was asked."""
        batch = await self.batches.find(account_id, batch_id)
        if batch.status != "validating":
            return
        try:
            blob_key = await self._blob_key(batch)
            if not batch.is_cancelled:
                await self._check_lines(blob_key)
                batch = await self._split(batch, blob_key)
        except InvalidRequest as error:
            problem = {"code": "invalid_file", "message": error.message, "param": error.param, "line": None}
            await self._leave(replace(batch, errors=(problem,)))
            return
        await self._leave(batch)

    async def _leave(self, batch: Batch) -> None:
        """Moves on to the next status, however often the batch is written meanwhile."""
        errors = batch.errors
        while batch.status == "validating":
            status: BatchStatus = "failed" if errors else "cancelling" if batch.is_cancelled else "in_progress"
            moved = await self.batches.move(replace(batch, errors=errors), status)
            if moved is not None:
                break
            batch = await self.batches.find(batch.account_id, batch.id)
        batch = await self.batches.find(batch.account_id, batch.id)
        if batch.status == "cancelling" or (batch.status == "in_progress" and batch.all_ended):
            await self.queue.send_step(BatchStep(batch.account_id, batch.id, "finish"))

    async def _blob_key(self, batch: Batch) -> str:
        file = await self.jobs.read_file(batch.account_id, batch.input_file_id)
        if file is None:
            raise InvalidRequest("The input file is gone.")
        if file.bytes > MAX_FILE_BYTES:
            raise InvalidRequest(f"The input file has {file.bytes} bytes; the limit is {MAX_FILE_BYTES}.")
        return file.blob_key

    async def _check_lines(self, blob_key: str) -> None:
        """Counts before the first job is made: a file with too many lines runs none of them."""
        count = 0
        async for number, _ in self._lines(blob_key):
            count += 1
            if number > MAX_LINES:
                raise InvalidRequest(f"The file has more than {MAX_LINES} lines.")
        if not count:
            raise InvalidRequest("The file has no lines.")

    async def _split(self, batch: Batch, blob_key: str) -> Batch:
        names: set[str] = set()
        chunk: list[Job] = []
        total = 0
        async for number, line in self._lines(blob_key):
            total += 1
            job = await self._job(batch, number, line, names=names)
            if job is None:
                continue
            chunk.append(job)
            if len(chunk) == CHUNK_LINES:
                batch = await self._add(batch, chunk, total=total)
                chunk = []
            if batch.status != "validating" or batch.is_cancelled:
                return batch
        return await self._add(batch, chunk, total=total) if chunk else batch

    async def _job(self, batch: Batch, number: int, line: bytes, *, names: set[str]) -> Job | None:
        """The job of a line, ended already where the line is broken; None where an earlier attempt made it."""
        known = number <= batch.read_lines
        custom_id = None
        try:
            parsed = parse_line(line, endpoint=batch.endpoint)
            if parsed.custom_id in names:
                raise InvalidRequest("'custom_id' stands on an earlier line.", param="custom_id")
            custom_id = parsed.custom_id
            names.add(custom_id)
            if known:
                return None
            key = ApiKey(account_id=batch.account_id, key_id=batch.key_id, hash=batch.key_hash)
            order = order_of(self.orders, parsed.body, endpoint=batch.endpoint, key=key)
        except GatewayError as error:
            if known:
                return None
            return self._broken_job(batch, number, error, custom_id=custom_id)
        job = _new_job(batch, number, custom_id=custom_id, model=order.model.id)
        text = json.dumps(parsed.body).encode()
        request_key = f"jobs/{batch.account_id}/{job.ref.job_id}/request.json"
        return replace(job, request=await keep(self.blobs, text, key=request_key))

    def _broken_job(self, batch: Batch, number: int, error: GatewayError, *, custom_id: str | None) -> Job:
        problem = broken_line(batch_id=batch.id, line=number, custom_id=custom_id, error=error)
        return replace(
            _new_job(batch, number, custom_id=custom_id),
            status="failed",
            answer=Blob(inline=json.dumps(problem)),
            http_status=error.status,
            ended_s=int(self.clock.now_s()),
        )

    async def _add(self, batch: Batch, chunk: Sequence[Job], *, total: int) -> Batch:
        writing = asyncio.Semaphore(WRITES_AT_ONCE)

        async def add(job: Job) -> None:
            async with writing:
                await self.jobs.add(replace(job, status="queued", answer=None))
                if job.ended:  # through the same door as every end, so that the batch counts it once
                    await self.jobs.end(_end_of(job))

        await asyncio.gather(*(add(job) for job in chunk))
        by_model: dict[str, list[JobRef]] = {}
        for job in chunk:
            if not job.ended:
                by_model.setdefault(job.model, []).append(job.ref)
        for model, refs in by_model.items():
            await self.queue.send_jobs(self.orders.model(model), refs)
        return await self._note(batch, lines=chunk[-1].line or 0, total=total)

    async def _note(self, batch: Batch, *, lines: int, total: int) -> Batch:
        """The batch, read at least so far."""
        while batch.status == "validating" and batch.read_lines < lines:
            written = await self.jobs.update_batch(replace(batch, read_lines=lines, total=total))
            batch = written or await self.batches.find(batch.account_id, batch.id)
        return batch

    async def _lines(self, blob_key: str) -> AsyncIterator[tuple[int, bytes]]:
        splitter = LineSplitter()
        try:
            async for part in self.blobs.read_stream(blob_key):
                for numbered in splitter.feed(part):
                    yield numbered
        except KeyError:
            raise InvalidRequest("The input file is gone.") from None
        for numbered in splitter.end():
            yield numbered


def _new_job(batch: Batch, number: int, *, custom_id: str | None, model: str = "") -> Job:
    return Job(
        ref=JobRef(account_id=batch.account_id, job_id=f"{batch.id}-{number}", batch_id=batch.id),
        key_id=batch.key_id,
        key_hash=batch.key_hash,
        endpoint=batch.endpoint,
        model=model,
        request=Blob(inline="{}"),
        created_s=batch.created_s,
        expires_s=batch.expires_s,
        line=number,
        custom_id=custom_id,
    )


def _end_of(job: Job) -> JobEnd:
    assert job.answer is not None
    return JobEnd(
        ref=job.ref,
        status=job.status,
        answer=job.answer,
        http_status=job.http_status or 400,
        ended_s=job.ended_s or job.created_s,
    )
