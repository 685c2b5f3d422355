"""Blobs on S3."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.wire.errors import AwsRefusal, TransportFailed
from gateway.domain.errors import ServiceUnavailable

PART_BYTES = 8 << 20
"""S3 takes parts of a multipart upload from 5 MiB on; 10,000 of these are far more than any file of ours."""
READ_BYTES = 256 << 10
_PASSING = frozenset({"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"})
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})


@dataclass(frozen=True, slots=True)
class S3Blobs:
    """Keeps the promises of `ports.Blobs`."""

    clients: Clients
    bucket: str

    async def write(self, key: str, data: bytes, *, content_type: str) -> None:
        """See `ports.Blobs.write`."""
        await self._call("put_object", Key=key, Body=data, ContentType=content_type)

    async def write_stream(self, key: str, parts: AsyncIterator[bytes], *, content_type: str) -> int:
        """See `ports.Blobs.write_stream`; what fits one part is written at once, the rest as a multipart upload."""
        pending = bytearray()
        upload: _Upload | None = None
        size = 0
        try:
            async for part in parts:
                pending += part
                size += len(part)
                if len(pending) >= PART_BYTES:
                    upload = upload or await _Upload.start(self, key, content_type)
                    await upload.add(bytes(pending))
                    pending.clear()
        except BaseException:
            if upload is not None:
                await upload.abort()
            raise
        if upload is None:
            await self.write(key, bytes(pending), content_type=content_type)
        else:
            await upload.finish(bytes(pending))
        return size

    async def read(self, key: str) -> bytes:
        """See `ports.Blobs.read`."""
        body = (await self._get(key))["Body"]
        try:
            return await self.clients.read(body)
        except TransportFailed:
            raise _unavailable() from None
        finally:
            body.close()

    async def read_stream(self, key: str) -> AsyncIterator[bytes]:
        """See `ports.Blobs.read_stream`."""
        body = (await self._get(key))["Body"]
        try:
            while part := await self.clients.read(body, READ_BYTES):
                yield part
        except TransportFailed:
            raise _unavailable() from None
        finally:
            body.close()

    async def size(self, key: str) -> int | None:
        """See `ports.Blobs.size`."""
        try:
            return int((await self._call("head_object", Key=key))["ContentLength"])
        except AwsRefusal as error:
            if error.code not in _MISSING:
                raise
            return None

    async def delete(self, key: str) -> None:
        """See `ports.Blobs.delete`."""
        await self._call("delete_object", Key=key)

    def url(self, key: str, *, seconds: int) -> str:
        """See `ports.Blobs.url`; signed here, without a call."""
        return self._sign("get_object", seconds, Key=key)

    def upload_url(self, key: str, *, seconds: int, content_type: str) -> str:
        """See `ports.Blobs.upload_url`; the content type is part of the signature."""
        return self._sign("put_object", seconds, Key=key, ContentType=content_type)

    def _sign(self, operation: str, seconds: int, **parameters: Any) -> str:
        url: str = self.clients.get("s3").generate_presigned_url(
            operation, Params={"Bucket": self.bucket, **parameters}, ExpiresIn=seconds
        )
        return url

    async def _get(self, key: str) -> dict[str, Any]:
        try:
            return await self._call("get_object", Key=key)
        except AwsRefusal as error:
            if error.code not in _MISSING:
                raise
            raise KeyError(key) from None

    async def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await self.clients.call("s3", operation, Bucket=self.bucket, **arguments)
        except TransportFailed:
            raise _unavailable() from None
        except AwsRefusal as error:
            if error.code in _PASSING:
                raise _unavailable() from None
            raise
        return answer


class _Upload:
    """A multipart upload under way."""

    def __init__(self, blobs: S3Blobs, key: str, id_: str) -> None:
        self._blobs = blobs
        self._target = {"Key": key, "UploadId": id_}
        self._parts: list[dict[str, Any]] = []

    @classmethod
    async def start(cls, blobs: S3Blobs, key: str, content_type: str) -> _Upload:
        answer = await blobs._call("create_multipart_upload", Key=key, ContentType=content_type)
        return cls(blobs, key, answer["UploadId"])

    async def add(self, data: bytes) -> None:
        number = len(self._parts) + 1
        answer = await self._blobs._call("upload_part", **self._target, PartNumber=number, Body=data)
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    async def finish(self, rest: bytes) -> None:
        if rest:
            await self.add(rest)
        await self._blobs._call("complete_multipart_upload", **self._target, MultipartUpload={"Parts": self._parts})

    async def abort(self) -> None:
        await self._blobs._call("abort_multipart_upload", **self._target)


def _unavailable() -> ServiceUnavailable:
    return ServiceUnavailable("The files could not be reached. Retry.", reason="ledger_unavailable", retry_after_s=5)
