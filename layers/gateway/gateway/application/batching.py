"""Batches: made, found and cancelled. `splitting` turns their files into jobs, `finishing` their answers into files.

Every step may be delivered twice, or die in the middle and be delivered again: jobs have the id of their line, and a
batch is written only by who has seen it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.application.filing import Files
from gateway.application.keeping import new_id
from gateway.application.ports import Clock, Ids, JobQueue, Jobs
from gateway.domain.batches import ENDPOINTS, Batch, BatchStatus, BatchStep
from gateway.domain.errors import InvalidRequest, NotFound, ServiceUnavailable
from gateway.domain.jobs import JOB_LIFETIME_S
from gateway.domain.keys import ApiKey

_ATTEMPTS = 8
"""A batch that is being split is written about five times a second; so many losses in a row mean something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """A batch to be made."""

    input_file_id: str
    endpoint: str
    metadata: Mapping[str, str] | None = None
    batch_id: str | None = None
    """Given by an event source that may deliver twice: the same id makes the same batch once."""
    outbox_prefix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """Makes, finds, moves and cancels batches."""

    jobs: Jobs
    queue: JobQueue
    files: Files
    clock: Clock
    ids: Ids

    async def create(self, asked: BatchRequest, *, key: ApiKey) -> Batch:
        """A batch whose file is about to be read. Raises InvalidRequest, NotFound."""
        if asked.endpoint not in ENDPOINTS:
            raise InvalidRequest(f"'endpoint' must be one of {', '.join(ENDPOINTS)}.", param="endpoint")
        file = await self.files.find(key.account_id, asked.input_file_id, param="input_file_id")
        if file.purpose != "batch":
            raise InvalidRequest("The file's purpose must be 'batch'.", param="input_file_id")
        if not file.ready:
            raise InvalidRequest("The file was not uploaded yet.", param="input_file_id")
        now_s = int(self.clock.now_s())
        batch = Batch(
            id=asked.batch_id or new_id("batch_", now_s, self.ids),
            account_id=key.account_id,
            key_id=key.key_id,
            key_hash=key.hash,
            endpoint=asked.endpoint,
            input_file_id=file.id,
            status="validating",
            created_s=now_s,
            expires_s=now_s + JOB_LIFETIME_S,
            metadata=asked.metadata or {},
            outbox_prefix=asked.outbox_prefix,
        )
        await self.jobs.add_batch(batch)
        # also for a batch that exists: whoever delivered it twice may have died between the two steps
        await self.queue.send_step(BatchStep(batch.account_id, batch.id, "split"))
        return batch

    async def find(self, account_id: str, batch_id: str) -> Batch:
        """The account's batch. Raises NotFound, for another account's too."""
        batch = await self.jobs.read_batch(account_id, batch_id)
        if batch is None:
            raise NotFound(f"There is no batch {batch_id!r:.60}.", param="id", reason="batch_not_found")
        return batch

    async def cancel(self, batch: Batch) -> Batch:
        """Stops a batch: lines that wait are cancelled, lines that run still end.

        Raises InvalidRequest if it ended, ServiceUnavailable if it is written too often to be stopped now.
        """
        for _ in range(_ATTEMPTS):
            if batch.ended or batch.status == "finalizing":
                raise InvalidRequest(f"The batch is {batch.status}; it can't be cancelled any more.", param="id")
            if not batch.is_cancelled:
                # one whose file is being read is stopped by who reads it: nobody else knows what lines there are
                status: BatchStatus = "validating" if batch.status == "validating" else "cancelling"
                times = {**batch.times, "cancelling": int(self.clock.now_s())}
                written = await self.jobs.update_batch(replace(batch, status=status, times=times))
                if written is None:
                    batch = await self.find(batch.account_id, batch.id)
                    continue
                batch = written
            step = BatchStep(batch.account_id, batch.id, "split" if batch.status == "validating" else "finish")
            await self.queue.send_step(step)
            return await self.find(batch.account_id, batch.id)
        raise ServiceUnavailable("The batch is being written. Retry.", reason="ledger_unavailable", retry_after_s=1)

    async def move(self, batch: Batch, status: BatchStatus) -> Batch | None:
        """The batch in its next status; None where somebody changed it since it was read."""
        times = {status: int(self.clock.now_s()), **batch.times}
        return await self.jobs.update_batch(replace(batch, status=status, times=times))
