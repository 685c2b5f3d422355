"""Messages of the job queues: each names one job to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from gateway.application.working import RunJob
from gateway.domain.jobs import JobRef
from gateway.entrypoints.events.messages import handle_messages
from gateway.entrypoints.observability import Telemetry


@dataclass(frozen=True, slots=True)
class WorkerHandler:
    """Runs each message's job."""

    run_job: RunJob
    read_ref: Callable[[str], JobRef]
    telemetry: Telemetry

    def __call__(self, event: dict[str, Any], context: Any) -> Any:
        """Answers with the partial batch response of SQS."""
        return handle_messages(event, context, self._run)

    async def _run(self, record: SQSRecord) -> None:
        settlement = await self.run_job(self.read_ref(record.body))
        if settlement is not None:
            self.telemetry.settled(settlement)
