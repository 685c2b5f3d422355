"""Batches, in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.application.batching import Batches, BatchRequest
from gateway.application.ports import Jobs
from gateway.domain.wire import WireModel, parse_json_object, parse_request
from gateway.entrypoints.http.body import read_body
from gateway.entrypoints.http.desk import Caller, Operation
from gateway.entrypoints.http.paging import page, read_page

MAX_BODY_BYTES = 65_536


class NewBatch(WireModel):
    """POST /v1/batches."""

    input_file_id: Annotated[str, Field(min_length=1, max_length=64)]
    endpoint: Literal["/v1/chat/completions", "/v1/completions"]
    completion_window: Literal["24h"]
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None


EXPECTED = {
    "input_file_id": "the id of an uploaded file",
    "endpoint": "'/v1/chat/completions' or '/v1/completions'",
    "completion_window": "'24h'",
    "metadata": "an object of at most 16 strings",
    "metadata.*": "a string",
}


@dataclass(frozen=True, slots=True)
class BatchRoutes:
    """/v1/batches."""

    batches: Batches
    jobs: Jobs

    def operations(self) -> list[Operation]:
        """The routes; all need a key with the scope `chat`."""
        return [
            Operation("POST", "/v1/batches", self._create, "chat"),
            Operation("GET", "/v1/batches", self._list, "chat"),
            Operation("GET", "/v1/batches/{id}", self._show, "chat"),
            Operation("POST", "/v1/batches/{id}/cancel", self._cancel, "chat"),
        ]

    async def _create(self, caller: Caller) -> Mapping[str, Any]:
        fields = parse_json_object(await read_body(caller.request, max_bytes=MAX_BODY_BYTES))
        asked = parse_request(NewBatch, fields, expected=EXPECTED)
        request = BatchRequest(input_file_id=asked.input_file_id, endpoint=asked.endpoint, metadata=asked.metadata)
        batch = await self.batches.create(request, key=caller.key)
        return batch.to_json()

    async def _list(self, caller: Caller) -> Mapping[str, Any]:
        limit, after = read_page(caller.request)
        batches, more = await self.jobs.list_batches(caller.account.id, limit=limit, after=after)
        return page([batch.to_json() for batch in batches], more=more)

    async def _show(self, caller: Caller) -> Mapping[str, Any]:
        return (await self.batches.find(caller.account.id, caller.id)).to_json()

    async def _cancel(self, caller: Caller) -> Mapping[str, Any]:
        return (await self.batches.cancel(await self.batches.find(caller.account.id, caller.id))).to_json()
