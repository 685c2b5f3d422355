"""The owner's bucket of weights on S3: objects made of parts, each checked by S3 as it arrives."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from gateway.adapters.aws.clients import Clients
from gateway.application.staging import CannotStage
from gateway.domain.weights import WeightsFile

_AT_ONCE = 4
"""Parts under way; each is held in memory."""


class S3WeightsBucket:
    """Keeps the promises of `staging.Bucket`."""

    def __init__(self, clients: Clients, name: str) -> None:
        self._clients = clients
        self.name = name

    def ready(self, *, create: bool) -> None:
        """See `staging.Bucket.ready`."""
        s3 = self._clients.get("s3")
        here = s3.meta.region_name
        try:
            region = s3.head_bucket(Bucket=self.name).get("BucketRegion", here)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"404", "NoSuchBucket"}:
                raise
            if not create:
                raise CannotStage(f"There is no bucket {self.name}: name another, or add --create-bucket.") from None
            self._create(here)
            return
        if region != here:
            raise CannotStage(
                f"The bucket {self.name} is in {region}, and SageMaker in {here} reads only from its own region: "
                "name a bucket there, or the other region with --region."
            )

    def _create(self, region: str) -> None:
        s3 = self._clients.get("s3")
        # us-east-1 is the one region that must not be named.
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=self.name, **where)
        closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        s3.put_public_access_block(Bucket=self.name, PublicAccessBlockConfiguration=dict.fromkeys(closed, True))

    def holds(self, key: str, file: WeightsFile) -> bool:
        """See `staging.Bucket.holds`; the mark is a tag, which goes with the content that it was put on."""
        s3 = self._clients.get("s3")
        try:
            size = s3.head_object(Bucket=self.name, Key=key)["ContentLength"]
        except ClientError as error:
            if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
                return False
            raise
        tags = s3.get_object_tagging(Bucket=self.name, Key=key)["TagSet"]
        return size == file.size_bytes and _tag(file) in tags

    @contextmanager
    def upload(self, key: str, file: WeightsFile) -> Iterator[S3Upload]:
        """See `staging.Bucket.upload`."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="weights") as executor:
            yield S3Upload(self._clients.get("s3"), self.name, key, file=file, executor=executor)


class S3Upload:
    """Keeps the promises of `staging.Upload`."""

    def __init__(self, s3: Any, bucket: str, key: str, *, file: WeightsFile, executor: ThreadPoolExecutor) -> None:
        self._s3 = s3
        self._object = {"Bucket": bucket, "Key": key}
        self._file = file
        self._executor = executor
        self._id, self._there = self._find() or (self._begin(), {})
        self._under_way: deque[Future[dict[str, Any]]] = deque()
        self._parts: list[dict[str, Any]] = []

    def put(self, number: int, part: bytes) -> None:
        """See `staging.Upload.put`. Raises what an earlier part failed with."""
        checksum = base64.b64encode(hashlib.sha256(part).digest()).decode()
        if (kept := self._there.get(number)) is not None and _is_kept(kept, part, checksum):
            self._parts.append(_named(number, kept["ETag"], checksum))
            return
        while len(self._under_way) >= _AT_ONCE:
            self._parts.append(self._under_way.popleft().result())
        self._under_way.append(self._executor.submit(self._send, number, part, checksum))

    def complete(self) -> None:
        """See `staging.Upload.complete`."""
        self._parts += [sending.result() for sending in self._under_way]
        parts = sorted(self._parts, key=lambda part: part["PartNumber"])
        self._s3.complete_multipart_upload(**self._object, UploadId=self._id, MultipartUpload={"Parts": parts})
        self._s3.put_object_tagging(**self._object, Tagging={"TagSet": [_tag(self._file)]})

    def abandon(self) -> None:
        """See `staging.Upload.abandon`."""
        for sending in self._under_way:
            sending.result()
        self._s3.abort_multipart_upload(**self._object, UploadId=self._id)

    def _begin(self) -> str:
        begun: str = self._s3.create_multipart_upload(**self._object, ChecksumAlgorithm="SHA256")["UploadId"]
        return begun

    def _find(self) -> tuple[str, dict[int, dict[str, Any]]] | None:
        """The newest upload of this object that a stopped run left, with its parts."""
        bucket, key = self._object["Bucket"], self._object["Key"]
        pages = self._s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key)
        left = [upload for page in pages for upload in page.get("Uploads", ()) if upload["Key"] == key]
        if not left:
            return None
        id_ = max(left, key=lambda upload: upload["Initiated"])["UploadId"]
        pages = self._s3.get_paginator("list_parts").paginate(**self._object, UploadId=id_)
        return id_, {part["PartNumber"]: part for page in pages for part in page.get("Parts", ())}

    def _send(self, number: int, part: bytes, checksum: str) -> dict[str, Any]:
        sent = self._s3.upload_part(
            **self._object, UploadId=self._id, PartNumber=number, Body=part, ChecksumSHA256=checksum
        )
        return _named(number, sent["ETag"], checksum)


def _named(number: int, etag: str, checksum: str) -> dict[str, Any]:
    return {"PartNumber": number, "ETag": etag, "ChecksumSHA256": checksum}


def _is_kept(kept: dict[str, Any], part: bytes, checksum: str) -> bool:
    if kept["Size"] != len(part):
        return False
    if "ChecksumSHA256" in kept:
        return bool(kept["ChecksumSHA256"] == checksum)
    # Of a part that came without: an ETag is the MD5 where S3 holds the key, and something else, so unequal, elsewhere.
    return bool(kept["ETag"].strip('"') == hashlib.md5(part, usedforsecurity=False).hexdigest())


def _tag(file: WeightsFile) -> dict[str, str]:
    return {"Key": file.algorithm, "Value": file.digest}
