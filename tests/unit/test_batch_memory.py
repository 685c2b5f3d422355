"""The largest batch goes through memory in parts, in and out."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from gateway.domain.batches import MAX_FILE_BYTES, MAX_LINES, Batch
from gateway.domain.jobs import Blob, Job, JobRef
from gateway.domain.models import Model

from tests.support.accounts import new_customer
from tests.support.fake_jobs import FakeBlobs, FakeJobQueue, FakeJobs
from tests.support.works import REQUEST, build_works, line

pytestmark = pytest.mark.anyio

LARGEST_LINE = line("r00001", body={**REQUEST, "padding": "x" * (MAX_FILE_BYTES // MAX_LINES - 190)}) + b"\n"
"""A file of as many of these as it may have lines is as large as it may be."""


class GeneratedBlobs(FakeBlobs):
    """A file that is made while it is read: it is in nobody's memory.

    What is taken of memory is traced from the last fifth on, as tracing takes its time: who keeps what is read keeps a
    fifth of the file then.
    """

    most_bytes = 0

    async def read_stream(self, key: str) -> AsyncIterator[bytes]:
        for number in range(MAX_LINES):
            if number == MAX_LINES * 4 // 5:
                tracemalloc.start()
            yield LARGEST_LINE.replace(b"r00001", b"r%05d" % number)
        self.most_bytes = max(self.most_bytes, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()


class CountingJobs(FakeJobs):
    """Jobs that are counted and forgotten."""

    added = 0

    async def add(self, job: Job) -> bool:
        self.added += 1
        return True


class CountingQueue(FakeJobQueue):
    """Messages that are counted and forgotten."""

    sent = 0

    async def send_jobs(self, model: Model, refs: Sequence[JobRef]) -> None:
        self.sent += len(refs)


async def test_the_largest_file_is_split_in_bounded_memory() -> None:
    assert 0.95 * MAX_FILE_BYTES < MAX_LINES * len(LARGEST_LINE) <= MAX_FILE_BYTES
    works = await build_works(answers=0, customer=new_customer())
    batch = await works.start_batch(b"{}")
    jobs, queue = CountingJobs(), CountingQueue()
    file = await works.jobs.read_file(batch.account_id, batch.input_file_id)
    assert file is not None
    await jobs.add_file(file)
    await jobs.add_batch(batch)
    batches = replace(works.batches, jobs=jobs)
    blobs = GeneratedBlobs()
    try:
        await replace(works.split, jobs=jobs, queue=queue, batches=batches, blobs=blobs)(batch.account_id, batch.id)
    finally:
        tracemalloc.stop()
    assert (jobs.added, queue.sent) == (MAX_LINES, MAX_LINES)
    assert 0 < blobs.most_bytes < MAX_FILE_BYTES / 5 / 3, "the lines' names and a hundred lines, not the file"


ANSWER = Blob(inline=json.dumps({"id": "chatcmpl-1", "choices": [{"message": {"content": "word " * 600}}]}))
FAILED_EVERY = 100
FAILED = MAX_LINES // FAILED_EVERY


class EndedJobs(FakeJobs):
    """A batch of as many ended lines as it may have, each made when it is looked at."""

    async def read_batch(self, account_id: str, batch_id: str) -> Batch | None:
        batch = await super().read_batch(account_id, batch_id)
        return batch and replace(batch, completed=MAX_LINES - FAILED, failed=FAILED)

    async def lines(self, batch: Batch) -> AsyncIterator[Job]:
        for number in range(1, MAX_LINES + 1):
            failed = number % FAILED_EVERY == 0
            yield Job(
                ref=JobRef(account_id=batch.account_id, job_id=f"job_{number}", batch_id=batch.id),
                key_id=batch.key_id,
                key_hash=batch.key_hash,
                endpoint=batch.endpoint,
                model="small",
                request=Blob(inline="{}"),
                created_s=batch.created_s,
                expires_s=batch.expires_s,
                status="failed" if failed else "succeeded",
                answer=ANSWER,
                http_status=500 if failed else 200,
                line=number,
                custom_id=f"r{number}",
            )


class CountingBlobs(FakeBlobs):
    """Files that are counted and forgotten, their memory traced over the last fifth of the larger one."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}
        self.most_bytes = 0

    async def write_stream(self, key: str, parts: AsyncIterator[bytes], *, content_type: str) -> int:
        size = count = 0
        async for part in parts:
            size, count = size + len(part), count + part.count(b"\n")
            if count == MAX_LINES * 4 // 5:
                tracemalloc.start()
        if tracemalloc.is_tracing():
            self.most_bytes = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        self.lines[key.rpartition("-")[2]] = count
        return size


async def test_the_largest_batch_is_finished_in_bounded_memory() -> None:
    works = await build_works(answers=0, customer=new_customer())
    batch = await works.start_batch(b"{}")
    jobs, blobs = EndedJobs(), CountingBlobs()
    await jobs.add_batch(replace(batch, status="in_progress", total=MAX_LINES))
    finish = replace(works.finish, jobs=jobs, blobs=blobs, batches=replace(works.batches, jobs=jobs))
    try:
        await finish(batch.account_id, batch.id)
    finally:
        tracemalloc.stop()
    done = await jobs.read_batch(batch.account_id, batch.id)
    assert done is not None
    assert (done.status, blobs.lines) == (
        "completed",
        {"output.jsonl": MAX_LINES - FAILED, "errors.jsonl": FAILED},
    )
    assert 0 < blobs.most_bytes < 200 * len(ANSWER.inline or ""), "a line and its neighbours, not a fifth of the file"
