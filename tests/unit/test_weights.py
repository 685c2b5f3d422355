"""Weights on their way: parts of one size however the bytes come, and never more parts than S3 takes."""

from __future__ import annotations

import hashlib

import pytest
from gateway.domain.weights import MAX_PARTS, WeightsFile, parts_of
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_hub import git_id


def file_of(size_bytes: int, algorithm: str = "sha256") -> WeightsFile:
    return WeightsFile(name="f", url="u", algorithm=algorithm, digest="", size_bytes=size_bytes)  # type: ignore[arg-type]


@given(st.lists(st.binary(max_size=20)), st.integers(1, 12))
def test_parts_are_of_one_size_however_the_bytes_come(blocks: list[bytes], size_bytes: int) -> None:
    parts = list(parts_of(blocks, size_bytes=size_bytes))
    assert b"".join(parts) == b"".join(blocks)
    assert all(len(part) == size_bytes for part in parts[:-1])
    assert len(parts[-1]) <= size_bytes
    assert parts[-1] or parts == [b""]


@pytest.mark.parametrize("size_bytes", [0, 1, 17_200_000_000, 5 * 1024**4])
def test_no_file_has_more_parts_than_s3_takes(size_bytes: int) -> None:
    part = file_of(size_bytes).part_bytes(16 * 1024 * 1024)
    assert part >= 16 * 1024 * 1024
    assert -(-size_bytes // part) <= MAX_PARTS


@given(st.binary(max_size=50))
def test_a_file_is_hashed_as_its_hub_hashes_it(content: bytes) -> None:
    for algorithm, expected in [("sha256", hashlib.sha256(content).hexdigest()), ("git-sha1", git_id(content))]:
        digest = file_of(len(content), algorithm).new_hash()
        digest.update(content)
        assert digest.hexdigest() == expected
