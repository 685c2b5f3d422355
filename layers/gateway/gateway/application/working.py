"""The worker: runs queued jobs through the same steps as everything else, after interactive work."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from pydantic_core import to_json

from gateway.application.folding import fold_answer
from gateway.application.generation import LEASE_MARGIN_S, Generate, Order
from gateway.application.keeping import keep, load
from gateway.application.orders import Orders
from gateway.application.ports import Blobs, Clock, Ids, JobQueue, Jobs
from gateway.application.requests import order_of
from gateway.domain.batches import BatchStep
from gateway.domain.errors import GatewayError, RateLimited, ServerError, ServiceUnavailable
from gateway.domain.jobs import Blob, Callback, Job, JobEnd, JobRef, JobStatus
from gateway.domain.keys import ApiKey
from gateway.domain.line import QUEUED
from gateway.domain.usage import Settlement

logger = logging.getLogger(__name__)

LATER_S = (5, 900)
"""A job that can't run now is queued anew after so long: no sooner than it helps, no later than SQS can wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob:
    """Runs one job at a time."""

    jobs: Jobs
    queue: JobQueue
    blobs: Blobs
    orders: Orders
    generate: Generate
    clock: Clock
    ids: Ids

    async def __call__(self, ref: JobRef) -> Settlement | None:
        """Runs the job if it is free, and returns its settlement if anything was used.

        What can't be done now (quota, line, no copy) goes back to the queue as a new message, so that waiting does
        not count as failing. Raises only what nobody foresaw: the message then comes again, and at last to the DLQ.
        """
        now_s = int(self.clock.now_s())
        claim = self.ids.request_id()
        job = await self.jobs.claim(ref, claim=claim, now_s=now_s, until_s=now_s + self._longest_run_s())
        if job is None:
            await self._look_again(ref)
            return None
        if job.expires_s <= now_s:
            await self._end(job, claim, "expired", ServerError("No worker could start the job in time."))
            return None
        try:
            order = await self._order(job)
            # before admission: a model that can't run it now must not cost the account a refused request a minute
            await self.generate.queue.check(order.model.id)
            return await self._run(job, claim, order)
        except (RateLimited, ServiceUnavailable) as error:
            await self.jobs.release(ref, claim=claim)
            await self._later(job, error.retry_after_s or 0)
        except GatewayError as error:
            await self._end(job, claim, "failed", error)
        except Exception:
            # the message comes again, and must not find the job held by whoever failed with it
            with suppress(GatewayError):
                await self.jobs.release(ref, claim=claim)
            raise
        return None

    async def _order(self, job: Job) -> Order:
        key = ApiKey(account_id=job.ref.account_id, key_id=job.key_id, hash=job.key_hash)
        body = await load(self.blobs, job.request)
        return order_of(self.orders, body, endpoint=job.endpoint, key=key).ranked(QUEUED)

    async def _run(self, job: Job, claim: str, order: Order) -> Settlement:
        run = await self.generate.start(order)
        try:
            answer = await fold_answer(order, run)
            kept = await keep(self.blobs, answer, key=_answer_key(job))
        except BaseException as error:
            await run.close(error)
            raise
        end = self._ending(job, claim, "succeeded", kept, 200)
        settlement = await run.close(job=end)
        await self._tell(job)
        return settlement

    async def _end(self, job: Job, claim: str, status: JobStatus, error: GatewayError) -> None:
        body = to_json(error.body())
        await self.jobs.end(self._ending(job, claim, status, Blob(inline=body.decode()), error.status))
        await self._tell(job)

    def _ending(self, job: Job, claim: str, status: JobStatus, answer: Blob, http_status: int) -> JobEnd:
        return JobEnd(
            ref=job.ref,
            status=status,
            answer=answer,
            http_status=http_status,
            ended_s=int(self.clock.now_s()),
            claim=claim,
        )

    async def _tell(self, job: Job) -> None:
        if job.callback_url is not None:
            await self.queue.send_callback(Callback(job.ref, attempt=1))
        await self._finish_batch(job.ref)

    async def _finish_batch(self, ref: JobRef) -> None:
        if ref.batch_id is None:
            return
        batch = await self.jobs.read_batch(ref.account_id, ref.batch_id)
        if batch is not None and batch.all_ended and batch.status in ("in_progress", "cancelling"):
            await self.queue.send_step(BatchStep(ref.account_id, ref.batch_id, "finish"))

    async def _later(self, job: Job, retry_after_s: int) -> None:
        soonest_s, latest_s = LATER_S
        delay_s = min(max(retry_after_s, soonest_s), latest_s)
        await self.queue.send_job(self.orders.model(job.model), job.ref, delay_s=delay_s)

    async def _look_again(self, ref: JobRef) -> None:
        """A job that another worker holds is looked at again when that claim would be over.

        The end of an ended one is told once more: the worker may have died right after it, and nobody tells of one
        that was cancelled.
        """
        job = await self.jobs.read(ref)
        if job is None:
            logger.error("message names no job", extra={"job": ref.job_id})
        elif job.ended:
            await self._tell(job)
        else:
            await self._later(job, job.claimed_until_s - int(self.clock.now_s()))

    def _longest_run_s(self) -> int:
        return int(self.generate.queue.wait_s + self.generate.timeout_s + LEASE_MARGIN_S)


def _answer_key(job: Job) -> str:
    return f"jobs/{job.ref.account_id}/{job.ref.job_id}/answer.json"
