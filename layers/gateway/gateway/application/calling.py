"""Callbacks: telling a client that its job has ended."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pydantic_core import to_json

from gateway.application.ports import Blobs, Clock, JobQueue, Jobs, Web
from gateway.application.showing import show_job
from gateway.domain.callbacks import callback_headers, retry_delay_s
from gateway.domain.errors import OutboundFailed
from gateway.domain.jobs import Callback

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeCallback:
    """Makes one attempt at a callback, and queues the next one where it fails."""

    jobs: Jobs
    queue: JobQueue
    blobs: Blobs
    web: Web
    clock: Clock

    async def __call__(self, callback: Callback) -> None:
        """Sends the job to its `callback_url`, as `GET /v1/jobs/{id}` shows it now.

        At least once, so a client goes by `webhook-id`. Raises only what nobody foresaw: the message then comes again.
        """
        job = await self.jobs.read(callback.ref)
        if job is None or job.callback_url is None or job.key_hash is None:
            logger.error("message names no job with a callback", extra={"job": callback.ref.job_id})
            return
        body = to_json(show_job(job, self.blobs))
        now_s = int(self.clock.now_s())
        headers = callback_headers(job.ref.job_id, body, key_hash=job.key_hash, now_s=now_s)
        try:
            status = await self.web.post(job.callback_url, headers=headers, body=body)
        except OutboundFailed as failure:
            await self._again(callback, str(failure))
        else:
            if not 200 <= status < 300:
                await self._again(callback, f"status {status}")

    async def _again(self, callback: Callback, cause: str) -> None:
        told = {"job": callback.ref.job_id, "attempt": callback.attempt, "cause": cause}
        delay_s = retry_delay_s(callback.attempt)
        if delay_s is None:
            logger.warning("callback given up", extra=told)
            return
        logger.info("callback failed", extra=told)
        await self.queue.send_callback(Callback(callback.ref, callback.attempt + 1), delay_s=delay_s)
