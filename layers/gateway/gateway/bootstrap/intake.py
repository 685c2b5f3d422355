"""The intake function."""

from __future__ import annotations

from functools import cached_property

from gateway.adapters.aws.queues import STEPS
from gateway.application.intake import Intake
from gateway.application.splitting import SplitBatch
from gateway.bootstrap.parts.finishing import Finishing
from gateway.bootstrap.parts.submission import Submission
from gateway.entrypoints.events.intake import IntakeHandler


class IntakeFunction(Finishing, Submission):
    """Takes work from queues, dropped objects and events, and walks batches through their steps."""

    @cached_property
    def split_batch(self) -> SplitBatch:
        return SplitBatch(
            jobs=self.jobs,
            queue=self.job_queue,
            blobs=self.blobs,
            orders=self.orders,
            batches=self.batches,
            clock=self.clock,
        )

    @cached_property
    def intake(self) -> Intake:
        return Intake(
            accounts=self.accounts,
            enqueue=self.enqueue,
            batches=self.batches,
            split=self.split_batch,
            finish=self.finish_batch,
            files=self.files,
        )

    def intake_handler(self) -> IntakeHandler:
        """The handler of the intake function."""
        self.start_logging()
        queue_name = self.settings.intake_queue_url.rpartition("/")[2]
        return IntakeHandler(self.intake, STEPS.validate_json, queue_name)
