"""Where work is kept that is answered later."""

from __future__ import annotations

from functools import cached_property

from gateway.adapters.aws.blobs import S3Blobs
from gateway.adapters.aws.jobs import DynamoJobs
from gateway.adapters.aws.queues import SqsJobQueue
from gateway.bootstrap.parts.process import Process


class Queued(Process):
    """Jobs in the table, their messages in the queues, and texts too large for either in the bucket."""

    @cached_property
    def jobs(self) -> DynamoJobs:
        return DynamoJobs(self.table)

    @cached_property
    def job_queue(self) -> SqsJobQueue:
        return SqsJobQueue(
            clients=self.clients,
            jobs_url_prefix=self.settings.jobs_queue_url_prefix,
            intake_url=self.settings.intake_queue_url,
            callbacks_url=self.settings.callbacks_queue_url,
        )

    @cached_property
    def blobs(self) -> S3Blobs:
        return S3Blobs(self.clients, self.settings.blob_bucket)
