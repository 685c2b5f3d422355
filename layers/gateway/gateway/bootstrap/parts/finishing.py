"""Who writes the answers of batches: when they are due, or when somebody reminds of them."""

from __future__ import annotations

from functools import cached_property

from gateway.application.finishing import FinishBatch
from gateway.bootstrap.parts.batching import Batching


class Finishing(Batching):
    """Ends batches."""

    @cached_property
    def finish_batch(self) -> FinishBatch:
        return FinishBatch(
            jobs=self.jobs, queue=self.job_queue, blobs=self.blobs, batches=self.batches, clock=self.clock
        )
