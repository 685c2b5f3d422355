"""Taking a request now and answering it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from gateway.application.keeping import keep, new_id
from gateway.application.orders import CHAT, Orders
from gateway.application.ports import Blobs, Clock, Ids, JobQueue, Jobs
from gateway.application.requests import order_of
from gateway.application.showing import show_job
from gateway.domain.errors import NotFound
from gateway.domain.jobs import JOB_LIFETIME_S, Blob, Job, JobEnd, JobRef
from gateway.domain.keys import ApiKey


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job to be made. `body` is a request body of `endpoint`; `callback_url` was checked."""

    body: Mapping[str, Any]
    endpoint: str = CHAT
    callback_url: str | None = None
    metadata: Mapping[str, str] | None = None
    job_id: str | None = None
    """Given by an event source that may deliver twice: the same id makes the same job once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueue:
    """Makes, shows and cancels jobs."""

    jobs: Jobs
    queue: JobQueue
    blobs: Blobs
    orders: Orders
    clock: Clock
    ids: Ids

    async def submit(self, asked: JobRequest, *, key: ApiKey) -> Job:
        """A queued job. Raises every error that the request itself would have met before admission."""
        order = order_of(self.orders, asked.body, endpoint=asked.endpoint, key=key)
        now_s = int(self.clock.now_s())
        ref = JobRef(account_id=key.account_id, job_id=asked.job_id or new_id("job_", now_s, self.ids))
        job = Job(
            ref=ref,
            key_id=key.key_id,
            key_hash=key.hash,
            endpoint=asked.endpoint,
            model=order.model.id,
            request=await keep(self.blobs, to_json(asked.body), key=f"jobs/{ref.account_id}/{ref.job_id}/request.json"),
            created_s=now_s,
            expires_s=now_s + JOB_LIFETIME_S,
            callback_url=asked.callback_url,
            metadata=asked.metadata,
        )
        await self.jobs.add(job)
        # also for a job that exists: whoever delivered it twice may have died between the two steps
        await self.queue.send_job(order.model, ref)
        return job

    async def find(self, account_id: str, job_id: str) -> Job:
        """The account's job. Raises NotFound, for another account's job too."""
        job = await self.jobs.read(JobRef(account_id=account_id, job_id=job_id))
        if job is None:
            raise NotFound(f"There is no job {job_id!r:.60}.", param="id", reason="job_not_found")
        return job

    async def show(self, job: Job) -> dict[str, Any]:
        """See `show_job`."""
        return show_job(job, self.blobs)

    async def cancel(self, job: Job) -> Job:
        """Cancels a job that waits, at once. One that runs is not stopped; its answer is dropped and not charged."""
        if not job.ended:
            await self.jobs.end(
                JobEnd(
                    ref=job.ref,
                    status="cancelled",
                    answer=Blob(inline="null"),
                    http_status=0,
                    ended_s=int(self.clock.now_s()),
                )
            )
        return await self.find(job.ref.account_id, job.ref.job_id)
