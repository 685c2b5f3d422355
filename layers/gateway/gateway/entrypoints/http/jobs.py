"""Jobs: a chat request that is answered later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.application.enqueueing import Enqueue, JobRequest
from gateway.domain.job_request import parse_job_request
from gateway.domain.wire import parse_json_object
from gateway.entrypoints.http.body import read_body
from gateway.entrypoints.http.desk import Caller, Operation


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
        asked, body = parse_job_request(fields)
        job = await self.enqueue.submit(
            JobRequest(body=body, endpoint=asked.endpoint, callback_url=asked.callback_url, metadata=asked.metadata),
            key=caller.key,
        )
        return await self.enqueue.show(job)

    async def _show(self, caller: Caller) -> Mapping[str, Any]:
        return await self.enqueue.show(await self.enqueue.find(caller.account.id, caller.id))

    async def _cancel(self, caller: Caller) -> Mapping[str, Any]:
        job = await self.enqueue.find(caller.account.id, caller.id)
        return await self.enqueue.show(await self.enqueue.cancel(job))
