"""Who takes requests that are answered later."""

from __future__ import annotations

from functools import cached_property

from gateway.application.enqueueing import Enqueue
from gateway.bootstrap.parts.ordering import Ordering
from gateway.bootstrap.parts.queued import Queued


class Submission(Ordering, Queued):
    """Makes jobs of requests, and shows them."""

    @cached_property
    def enqueue(self) -> Enqueue:
        return Enqueue(
            jobs=self.jobs,
            queue=self.job_queue,
            blobs=self.blobs,
            orders=self.orders,
            clock=self.clock,
            ids=self.ids,
        )
