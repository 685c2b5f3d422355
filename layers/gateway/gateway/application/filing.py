"""Files: uploaded for batches, or made by them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.application.keeping import new_id
from gateway.application.ports import Blobs, Clock, Ids, Jobs
from gateway.domain.batches import File
from gateway.domain.errors import InvalidRequest, NotFound
from gateway.domain.jobs import KEPT_S

UPLOAD_LIFETIME_S = 3600
LINK_LIFETIME_S = 300
JSONL = "application/jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Keeps files."""

    jobs: Jobs
    blobs: Blobs
    clock: Clock
    ids: Ids

    async def add(self, account_id: str, *, filename: str, purpose: str, data: bytes) -> File:
        """A file whose bytes are here. Raises InvalidRequest."""
        file = self._new(account_id, filename=filename, purpose=purpose)
        await self.blobs.write(file.blob_key, data, content_type=JSONL)
        file = replace(file, bytes=len(data), ready=True)
        await self.jobs.add_file(file)
        return file

    async def expect(self, account_id: str, *, filename: str, purpose: str) -> tuple[File, str]:
        """A file that its owner is going to put where the returned link says. Raises InvalidRequest."""
        file = self._new(account_id, filename=filename, purpose=purpose)
        await self.jobs.add_file(file)
        return file, self.blobs.upload_url(file.blob_key, seconds=UPLOAD_LIFETIME_S, content_type=JSONL)

    async def adopt(self, account_id: str, *, file_id: str, blob_key: str, filename: str) -> File:
        """A file whose bytes are in the bucket already. Raises NotFound where they are not."""
        now_s = int(self.clock.now_s())
        size = await self.blobs.size(blob_key)
        if size is None:
            raise NotFound("The object is gone.", reason="file_not_found")
        file = File(
            id=file_id,
            account_id=account_id,
            filename=filename,
            purpose="batch",
            bytes=size,
            created_s=now_s,
            expires_s=now_s + KEPT_S,
            blob_key=blob_key,
        )
        await self.jobs.add_file(file)
        return file

    async def find(self, account_id: str, file_id: str, *, param: str = "id") -> File:
        """The account's file, with its size if it was put meanwhile. Raises NotFound, for another account's too."""
        file = await self.jobs.read_file(account_id, file_id)
        if file is None:
            raise NotFound(f"There is no file {file_id!r:.60}.", param=param, reason="file_not_found")
        if file.ready:
            return file
        size = await self.blobs.size(file.blob_key)
        if size is None:
            return file
        file = replace(file, bytes=size, ready=True)
        await self.jobs.add_file(file)
        return file

    async def delete(self, file: File) -> None:
        """Forgets the file and its bytes."""
        await self.blobs.delete(file.blob_key)
        await self.jobs.delete_file(file.account_id, file.id)

    async def content(self, file: File, *, at_most: int) -> bytes | str:
        """The bytes of a small file, or a link to those of a large one. Raises NotFound where none were put."""
        if not file.ready:
            raise NotFound("The file was not uploaded yet.", param="id", reason="file_not_found")
        if file.bytes > at_most:
            return self.blobs.url(file.blob_key, seconds=LINK_LIFETIME_S)
        return await self.blobs.read(file.blob_key)

    def _new(self, account_id: str, *, filename: str, purpose: str) -> File:
        if purpose != "batch":
            raise InvalidRequest("'purpose' must be 'batch'.", param="purpose")
        now_s = int(self.clock.now_s())
        id_ = new_id("file_", now_s, self.ids)
        return File(
            id=id_,
            account_id=account_id,
            filename=filename[:255] or "file.jsonl",
            purpose=purpose,
            bytes=0,
            created_s=now_s,
            expires_s=now_s + KEPT_S,
            blob_key=f"files/{account_id}/{id_}.jsonl",
            ready=False,
        )
