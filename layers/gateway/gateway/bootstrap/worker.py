"""The worker function."""

from __future__ import annotations

from functools import cached_property

from gateway.adapters.aws.queues import JOB_REFS
from gateway.application.working import RunJob
from gateway.bootstrap.parts.generation import Generation
from gateway.bootstrap.parts.queued import Queued
from gateway.entrypoints.events.worker import WorkerHandler


class WorkerFunction(Generation, Queued):
    """Answers what was queued."""

    @cached_property
    def run_job(self) -> RunJob:
        return RunJob(
            jobs=self.jobs,
            queue=self.job_queue,
            blobs=self.blobs,
            orders=self.orders,
            generate=self.generate,
            clock=self.clock,
            ids=self.ids,
        )

    def worker_handler(self) -> WorkerHandler:
        """The handler of the worker function."""
        return WorkerHandler(self.run_job, JOB_REFS.validate_json, self.telemetry)
