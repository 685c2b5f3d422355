"""A gateway of fakes that takes queued work: a house, and everything between a message and its job."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gateway.application.batching import Batches, BatchRequest
from gateway.application.enqueueing import Enqueue, JobRequest
from gateway.application.filing import Files
from gateway.application.finishing import FinishBatch
from gateway.application.intake import Intake
from gateway.application.orders import CHAT, Orders
from gateway.application.splitting import SplitBatch
from gateway.application.working import RunJob
from gateway.catalogue import Catalogue
from gateway.domain.batches import Batch, BatchStep
from gateway.domain.jobs import Job, JobRef
from gateway.domain.usage import Settlement

from tests.support.accounts import Customer
from tests.support.fake_engine import Script, answer
from tests.support.fake_jobs import FakeBlobs, FakeJobQueue, FakeJobs
from tests.support.fakes import NumberedIds
from tests.support.faults import Faults
from tests.support.house import House, build_house

REQUEST = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


@dataclass
class Works:
    """What stands. Messages lie in `queue` until a test has them worked off."""

    house: House
    jobs: FakeJobs
    queue: FakeJobQueue
    blobs: FakeBlobs
    enqueue: Enqueue
    run_job: RunJob
    files: Files
    batches: Batches
    split: SplitBatch
    finish: FinishBatch
    intake: Intake

    async def submit(self, **asked: Any) -> Job:
        """A queued job of the house's customer."""
        return await self.enqueue.submit(JobRequest(**{"body": REQUEST, **asked}), key=self.house.customer.key)

    async def job(self, ref: JobRef) -> Job:
        """The job as it is now."""
        job = await self.jobs.read(ref)
        assert job is not None
        return job

    async def deliver(self) -> list[Settlement | None]:
        """Has every message for a worker that is in the queue now delivered once."""
        waiting = self.waiting()
        self.queue.jobs.clear()
        return [await self.run_job(ref) for ref in waiting]

    def waiting(self) -> list[JobRef]:
        """The jobs of the messages that lie in the model's queue."""
        return [sent.message for sent in self.queue.jobs.get("small", []) if isinstance(sent.message, JobRef)]

    async def take_steps(self) -> None:
        """Has every step of a batch taken, those that follow from one too."""
        while self.queue.steps:
            step = self.queue.steps.pop(0).message
            assert isinstance(step, BatchStep)
            await self.intake.step(step)

    async def upload(self, data: bytes) -> str:
        """The id of a file of the house's customer."""
        account_id = self.house.customer.account.id
        return (await self.files.add(account_id, filename="in.jsonl", purpose="batch", data=data)).id

    async def start_batch(self, data: bytes, *, endpoint: str = CHAT) -> Batch:
        """A batch of this file, not yet split."""
        asked = BatchRequest(input_file_id=await self.upload(data), endpoint=endpoint)
        return await self.batches.create(asked, key=self.house.customer.key)

    async def batch(self, batch: Batch) -> Batch:
        """The batch as it is now."""
        return await self.batches.find(batch.account_id, batch.id)

    async def run_out(self, batch: Batch) -> Batch:
        """The batch after everything that is in the queues was worked off."""
        await self.take_steps()
        while self.queue.jobs.get("small"):
            await self.deliver()
            await self.take_steps()
        return await self.batch(batch)

    async def lines_of(self, batch: Batch, file_id: str | None) -> list[dict[str, Any]]:
        """The lines of one of the batch's files."""
        if file_id is None:
            return []
        file = await self.files.find(batch.account_id, file_id)
        return [json.loads(line) for line in self.blobs.kept[file.blob_key].splitlines()]


def line(custom_id: str, **fields: Any) -> bytes:
    """A line of a batch's file that is good unless `fields` spoil it."""
    whole = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": REQUEST, **fields}
    return json.dumps(whole).encode()


async def build_works(
    *scripts: Script,
    answers: int = 0,
    customer: Customer | None = None,
    faults: Faults | None = None,
    slots: int = 2,
    part_bytes: int = 4096,
) -> Works:
    """Works whose engine plays these scripts, and then so many plain answers of two tokens to a prompt of five."""
    house = await build_house(
        *scripts, *(answer("Hello", " you") for _ in range(answers)), customer=customer, faults=faults, slots=slots
    )
    jobs, queue, blobs, ids = FakeJobs(), FakeJobQueue(), FakeBlobs(part_bytes=part_bytes), NumberedIds()
    house.books.end_job = jobs.end_now
    orders = Orders(Catalogue({house.model.id: house.model}, {}, {}), ids)
    clock = house.clock
    enqueue = Enqueue(jobs=jobs, queue=queue, blobs=blobs, orders=orders, clock=clock, ids=ids)
    run_job = RunJob(jobs=jobs, queue=queue, blobs=blobs, orders=orders, generate=house.generate, clock=clock, ids=ids)
    files = Files(jobs=jobs, blobs=blobs, clock=clock, ids=ids)
    batches = Batches(jobs=jobs, queue=queue, files=files, clock=clock, ids=ids)
    split = SplitBatch(jobs=jobs, queue=queue, blobs=blobs, orders=orders, batches=batches, clock=clock)
    finish = FinishBatch(jobs=jobs, queue=queue, blobs=blobs, batches=batches, clock=clock)
    intake = Intake(accounts=house.accounts, enqueue=enqueue, batches=batches, split=split, finish=finish, files=files)
    return Works(house, jobs, queue, blobs, enqueue, run_job, files, batches, split, finish, intake)
