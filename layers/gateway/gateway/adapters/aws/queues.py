"""The queues on SQS: jobs at their model, steps of batches, callbacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.wire.errors import AwsRefusal, TransportFailed
from gateway.domain.batches import BatchStep
from gateway.domain.errors import ServiceUnavailable
from gateway.domain.jobs import Callback, JobRef
from gateway.domain.models import Model

LONGEST_DELAY_S = 900
"""SQS's limit for DelaySeconds."""
BATCH_SIZE = 10
"""SQS's limit for entries of one SendMessageBatch."""
QUEUE_ATTRIBUTE = "queue"
"""The message attribute with the name of the queue that a message was sent to."""

JOB_REFS: TypeAdapter[JobRef] = TypeAdapter(JobRef)
STEPS: TypeAdapter[BatchStep] = TypeAdapter(BatchStep)
CALLBACKS: TypeAdapter[Callback] = TypeAdapter(Callback)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqsJobQueue:
    """Keeps the promises of `ports.JobQueue`. A model's queue is `<jobs_url_prefix><slug of the model>`."""

    clients: Clients
    jobs_url_prefix: str
    intake_url: str
    callbacks_url: str

    async def send_job(self, model: Model, ref: JobRef, *, delay_s: int = 0) -> None:
        """See `ports.JobQueue.send_job`."""
        url = self._jobs_url(model)
        entry = _job_entry(ref, "0", url=url, delay_s=delay_s)
        del entry["Id"]
        await self._send(url, **entry)

    async def send_jobs(self, model: Model, refs: Sequence[JobRef]) -> None:
        """See `ports.JobQueue.send_jobs`."""
        url = self._jobs_url(model)
        for start in range(0, len(refs), BATCH_SIZE):
            entries = [
                _job_entry(ref, str(index), url=url) for index, ref in enumerate(refs[start : start + BATCH_SIZE])
            ]
            answer = await self._call("send_message_batch", QueueUrl=url, Entries=entries)
            if answer.get("Failed"):
                raise _unavailable()

    async def send_step(self, step: BatchStep, *, delay_s: int = 0) -> None:
        """See `ports.JobQueue.send_step`."""
        await self._send(self.intake_url, MessageBody=STEPS.dump_json(step).decode(), DelaySeconds=_delay(delay_s))

    async def send_callback(self, callback: Callback, *, delay_s: int = 0) -> None:
        """See `ports.JobQueue.send_callback`."""
        body = CALLBACKS.dump_json(callback).decode()
        await self._send(self.callbacks_url, MessageBody=body, DelaySeconds=_delay(delay_s))

    def _jobs_url(self, model: Model) -> str:
        return self.jobs_url_prefix + model.resource_slug

    async def _send(self, url: str, **arguments: Any) -> None:
        await self._call("send_message", QueueUrl=url, **arguments)

    async def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await self.clients.call("sqs", operation, **arguments)
        except (TransportFailed, AwsRefusal):
            raise _unavailable() from None
        return answer


def _job_entry(ref: JobRef, id_: str, *, url: str, delay_s: int = 0) -> dict[str, Any]:
    # The message group makes a standard queue fair: one account's backlog does not delay another's messages. The
    # queues of all models share one for dead letters; the attribute leads them back.
    return {
        "Id": id_,
        "MessageBody": JOB_REFS.dump_json(ref).decode(),
        "MessageAttributes": {QUEUE_ATTRIBUTE: {"DataType": "String", "StringValue": url.rpartition("/")[2]}},
        "MessageGroupId": ref.account_id,
        "DelaySeconds": _delay(delay_s),
    }


def _delay(delay_s: int) -> int:
    return max(0, min(delay_s, LONGEST_DELAY_S))


def _unavailable() -> ServiceUnavailable:
    return ServiceUnavailable("The queue could not be reached. Retry.", reason="ledger_unavailable", retry_after_s=5)
