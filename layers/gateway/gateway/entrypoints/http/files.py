"""Files for batches, in OpenAI's shape.

A Lambda takes 6 MB of body, base64 included: a larger file is announced with JSON and put where the answer's
`upload_url` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from gateway.application.filing import JSONL, Files
from gateway.application.ports import Jobs
from gateway.domain.errors import BodyTooLarge, InvalidRequest
from gateway.domain.wire import WireModel, parse_json_object, parse_request
from gateway.entrypoints.http.body import declared_bytes, read_body
from gateway.entrypoints.http.desk import Caller, Operation
from gateway.entrypoints.http.paging import page, read_page

MAX_INLINE_BYTES = 4_000_000


class NewFile(WireModel):
    """POST /v1/files as JSON: a file that will be put at the answer's `upload_url`."""

    filename: Annotated[str, Field(min_length=1, max_length=255)]
    purpose: Literal["batch"]


EXPECTED = {"filename": "a string of 1 to 255 characters", "purpose": "'batch'"}


@dataclass(frozen=True, slots=True)
class FileRoutes:
    """/v1/files."""

    files: Files
    jobs: Jobs

    def operations(self) -> list[Operation]:
        """The routes; all need a key with the scope `chat`."""
        return [
            Operation("POST", "/v1/files", self._create, "chat"),
            Operation("GET", "/v1/files", self._list, "chat"),
            Operation("GET", "/v1/files/{id}", self._show, "chat"),
            Operation("DELETE", "/v1/files/{id}", self._delete, "chat"),
            Operation("GET", "/v1/files/{id}/content", self._content, "chat"),
        ]

    async def _create(self, caller: Caller) -> Mapping[str, Any]:
        if caller.request.headers.get("content-type", "").startswith("multipart/form-data"):
            return await self._create_from_form(caller)
        fields = parse_json_object(await read_body(caller.request, max_bytes=MAX_INLINE_BYTES))
        asked = parse_request(NewFile, fields, expected=EXPECTED)
        file, url = await self.files.expect(caller.account.id, filename=asked.filename, purpose=asked.purpose)
        return {**file.to_json(), "upload_url": url, "upload_content_type": JSONL}

    async def _create_from_form(self, caller: Caller) -> Mapping[str, Any]:
        if not 0 < declared_bytes(caller.request) <= MAX_INLINE_BYTES:
            raise BodyTooLarge(
                f"A form may have {MAX_INLINE_BYTES} bytes, told by Content-Length. For a larger file send JSON "
                "{filename, purpose} and put the file at the answer's upload_url.",
                param="file",
            )
        try:
            async with caller.request.form(max_files=1, max_fields=8) as form:
                return await self._add(caller.account.id, form)
        except HTTPException as error:
            raise InvalidRequest(f"The form can't be read: {error.detail}", param="file") from None

    async def _add(self, account_id: str, form: FormData) -> Mapping[str, Any]:
        upload, purpose = form.get("file"), form.get("purpose")
        if not isinstance(upload, UploadFile):
            raise InvalidRequest("'file' must be a file of the form.", param="file")
        if not isinstance(purpose, str):
            raise InvalidRequest("'purpose' must be 'batch'.", param="purpose")
        data = await upload.read()
        filename = upload.filename or "file.jsonl"
        return (await self.files.add(account_id, filename=filename, purpose=purpose, data=data)).to_json()

    async def _list(self, caller: Caller) -> Mapping[str, Any]:
        limit, after = read_page(caller.request)
        files, more = await self.jobs.list_files(caller.account.id, limit=limit, after=after)
        return page([file.to_json() for file in files], more=more)

    async def _show(self, caller: Caller) -> Mapping[str, Any]:
        return (await self.files.find(caller.account.id, caller.id)).to_json()

    async def _delete(self, caller: Caller) -> Mapping[str, Any]:
        await self.files.delete(await self.files.find(caller.account.id, caller.id))
        return {"id": caller.id, "object": "file", "deleted": True}

    async def _content(self, caller: Caller) -> Response:
        file = await self.files.find(caller.account.id, caller.id)
        content = await self.files.content(file, at_most=MAX_INLINE_BYTES)
        if isinstance(content, str):
            return RedirectResponse(content, status_code=302)
        return Response(content, media_type=JSONL)
