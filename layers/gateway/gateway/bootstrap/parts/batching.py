"""Who keeps files and the batches that are made of them."""

from __future__ import annotations

from functools import cached_property

from gateway.application.batching import Batches
from gateway.application.filing import Files
from gateway.bootstrap.parts.queued import Queued


class Batching(Queued):
    """Files and batches."""

    @cached_property
    def files(self) -> Files:
        return Files(jobs=self.jobs, blobs=self.blobs, clock=self.clock, ids=self.ids)

    @cached_property
    def batches(self) -> Batches:
        return Batches(jobs=self.jobs, queue=self.job_queue, files=self.files, clock=self.clock, ids=self.ids)
