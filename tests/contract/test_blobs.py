"""The promises of `ports.Blobs`, in memory and on S3."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from urllib.request import Request, urlopen

import pytest
from gateway.adapters.aws.blobs import PART_BYTES, S3Blobs
from gateway.adapters.aws.clients import Clients
from gateway.application.ports import Blobs

from tests.contract.storage import BUCKET, storage_clients
from tests.support.aws import Aws
from tests.support.fake_jobs import FakeBlobs

pytestmark = pytest.mark.anyio
_numbers = count(1)
TYPE = "application/jsonl"


@pytest.fixture(scope="module")
def storage(aws: Aws) -> Clients:
    return storage_clients(aws)


@pytest.fixture
def s3(storage: Clients) -> S3Blobs:
    return S3Blobs(storage, BUCKET)


@pytest.fixture(params=["fake", "aws"])
def blobs(request: pytest.FixtureRequest) -> Blobs:
    if request.param == "fake":
        return FakeBlobs(part_bytes=1 << 20)
    found: S3Blobs = request.getfixturevalue("s3")
    return found


@pytest.fixture
def key() -> str:
    return f"files/a b/ü{next(_numbers)}.jsonl"


async def parts_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("data", [b"", b"text", b"\xff" * 300_000])
async def test_what_is_written_is_read_whole_and_in_parts(blobs: Blobs, key: str, data: bytes) -> None:
    await blobs.write(key, data, content_type=TYPE)
    assert await blobs.read(key) == data
    assert b"".join([part async for part in blobs.read_stream(key)]) == data
    assert await blobs.size(key) == len(data)


@pytest.mark.parametrize("sizes", [(), (0,), (10, 20), (PART_BYTES,), (PART_BYTES, PART_BYTES, 5), (3, PART_BYTES)])
async def test_a_stream_of_any_length_is_kept_whole(blobs: Blobs, key: str, sizes: tuple[int, ...]) -> None:
    parts = [bytes([index]) * size for index, size in enumerate(sizes)]
    assert await blobs.write_stream(key, parts_of(*parts), content_type=TYPE) == sum(sizes)
    assert await blobs.read(key) == b"".join(parts)


async def test_what_is_not_there_is_told_as_such(blobs: Blobs, key: str) -> None:
    assert await blobs.size(key) is None
    with pytest.raises(KeyError):
        await blobs.read(key)
    with pytest.raises(KeyError):
        await anext(aiter(blobs.read_stream(key)))
    await blobs.delete(key)


async def test_what_is_deleted_is_gone(blobs: Blobs, key: str) -> None:
    await blobs.write(key, b"x", content_type=TYPE)
    await blobs.delete(key)
    assert await blobs.size(key) is None


async def test_a_stream_that_breaks_off_leaves_nothing_behind(s3: S3Blobs, storage: Clients, key: str) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"x" * PART_BYTES
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await s3.write_stream(key, breaking(), content_type=TYPE)
    assert await s3.size(key) is None
    assert "Uploads" not in storage.get("s3").list_multipart_uploads(Bucket=BUCKET)


async def test_links_read_and_write_without_credentials(s3: S3Blobs, key: str) -> None:
    put = Request(
        s3.upload_url(key, seconds=60, content_type=TYPE), method="PUT", data=b"up", headers={"Content-Type": TYPE}
    )
    with urlopen(put) as answer:
        assert answer.status == 200
    assert await s3.read(key) == b"up"
    with urlopen(s3.url(key, seconds=60)) as answer:
        assert answer.read() == b"up"


def test_links_are_signed_by_the_current_scheme_and_a_moment_long(s3: S3Blobs, key: str) -> None:
    for url in (s3.url(key, seconds=60), s3.upload_url(key, seconds=60, content_type=TYPE)):
        assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
        assert "X-Amz-Expires=60" in url
        assert "checksum" not in url, "whoever uploads by a link sends no checksum of the SDK's"
