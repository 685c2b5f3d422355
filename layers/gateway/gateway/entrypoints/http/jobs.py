"""Jobs: a chat request that is answered later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.application.enqueueing import Enqueue, JobRequest
from gateway.domain.wire import WireModel, parse_json_object, parse_request
from gateway.entrypoints.http.body import read_body
from gateway.entrypoints.http.desk import Caller, Operation


class NewJob(WireModel):
    """POST /v1/jobs: the fields of the request itself, and these."""

    endpoint: Literal["/v1/chat/completions", "/v1/completions"] = "/v1/chat/completions"
    callback_url: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None


EXPECTED = {
    "endpoint": "'/v1/chat/completions' or '/v1/completions'",
    "callback_url": "an https URL of at most 2048 characters",
    "metadata": "an object of at most 16 strings",
}


@dataclass(frozen=True, slots=True)
class JobRoutes:
    """/v1/jobs."""

    enqueue: Enqueue
    max_body_bytes: int

    def operations(self) -> list[Operation]:
        """The routes; all need a key with the scope `chat`."""
        return [
            Operation("POST", "/v1/jobs", self._create, "chat", status=202),
            Operation("GET", "/v1/jobs/{id}", self._show, "chat"),
            Operation("DELETE", "/v1/jobs/{id}", self._cancel, "chat"),
        ]

    async def _create(self, caller: Caller) -> Mapping[str, Any]:
        fields = parse_json_object(await read_body(caller.request, max_bytes=self.max_body_bytes))
        own = {name: fields.pop(name) for name in NewJob.model_fields if name in fields}
        asked = parse_request(NewJob, own, expected=EXPECTED)
        job = await self.enqueue.submit(
            JobRequest(body=fields, endpoint=asked.endpoint, callback_url=asked.callback_url, metadata=asked.metadata),
            key=caller.key,
        )
        return await self.enqueue.show(job)

    async def _show(self, caller: Caller) -> Mapping[str, Any]:
        return await self.enqueue.show(await self.enqueue.find(caller.account.id, caller.id))

    async def _cancel(self, caller: Caller) -> Mapping[str, Any]:
        job = await self.enqueue.find(caller.account.id, caller.id)
        return await self.enqueue.show(await self.enqueue.cancel(job))
