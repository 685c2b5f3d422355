"""Lines of a batch's file: cut anywhere, numbered, bounded; and what a line must say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway.domain.batches import MAX_LINE_BYTES, Batch, LineSplitter, parse_line
from gateway.domain.errors import InvalidRequest
from hypothesis import given
from hypothesis import strategies as st

CHAT = "/v1/chat/completions"
GOOD: dict[str, Any] = {"custom_id": "a", "method": "POST", "url": CHAT, "body": {"model": "m"}}
texts = st.lists(st.sampled_from([b"", b"x", b"{}", b"  ", b"long line", b"\xe2\x80\xa8", b"a\rb"]), max_size=12)


def split(*parts: bytes) -> list[tuple[int, bytes]]:
    splitter = LineSplitter()
    lines = [line for part in parts for line in splitter.feed(part)]
    return [*lines, *splitter.end()]


@given(texts, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.data())
def test_lines_are_the_same_wherever_the_bytes_are_cut(
    lines: list[bytes], newline: bytes, closed: bool, data: st.DataObject
) -> None:
    text = newline.join(lines) + (newline if closed else b"")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    expected = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    assert split(*parts) == expected


def test_blank_lines_are_skipped_and_counted() -> None:
    assert split(b"\n\nfirst\n \t\nsecond") == [(3, b"first"), (5, b"second")]


@pytest.mark.parametrize("tail", [b"", b"\n", b"\nnext\n"])
def test_a_line_over_the_limit_is_one_broken_line_and_is_not_kept_whole(tail: bytes) -> None:
    parts = [b"x" * 65_536] * 100 + [tail]
    splitter = LineSplitter()
    lines: list[tuple[int, bytes]] = []
    for part in parts:
        lines += splitter.feed(part)
        assert len(splitter._pending) <= MAX_LINE_BYTES + 1
    lines += splitter.end()
    assert [number for number, _ in lines] == ([1, 2] if b"next" in tail else [1])
    assert MAX_LINE_BYTES < len(lines[0][1]) <= MAX_LINE_BYTES + 1 + 65_536
    with pytest.raises(InvalidRequest, match=str(MAX_LINE_BYTES)):
        parse_line(lines[0][1], endpoint=CHAT)


def test_a_line_whose_good_beginning_is_all_that_fits_is_broken_all_the_same() -> None:
    line = json.dumps(GOOD).encode() + b" " * 2 * MAX_LINE_BYTES + b"rubbish"
    ((_, kept),) = split(*(line[start : start + 4096] for start in range(0, len(line), 4096)))
    with pytest.raises(InvalidRequest, match=str(MAX_LINE_BYTES)):
        parse_line(kept, endpoint=CHAT)


def test_a_good_line_is_its_name_and_its_body() -> None:
    line = parse_line(json.dumps(GOOD).encode(), endpoint=CHAT)
    assert (line.custom_id, line.body) == ("a", {"model": "m"})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"custom_id": None}, "custom_id"),
        ({"custom_id": 7}, "custom_id"),
        ({"custom_id": ""}, "custom_id"),
        ({"custom_id": "x" * 513}, "custom_id"),
        ({"method": "GET"}, "method"),
        ({"url": "/v1/completions"}, "url"),
        ({"url": None}, "url"),
        ({"body": None}, "body"),
        ({"body": []}, "body"),
        ({"body": {"stream": True}}, "body.stream"),
    ],
)
def test_a_broken_line_names_its_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_line(json.dumps(GOOD | fields).encode(), endpoint=CHAT)
    assert caught.value.param == param


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe", b'{"custom_id": NaN}', b"[" * 9999])
def test_a_line_that_is_no_object_is_broken(line: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_line(line, endpoint=CHAT)


@pytest.mark.parametrize(("status", "shown"), [("validating", "cancelling"), ("cancelled", "cancelled")])
def test_a_batch_that_was_cancelled_says_so_from_that_moment(status: Any, shown: str) -> None:
    batch = Batch(
        id="batch_1",
        account_id="a",
        key_id="k",
        key_hash=None,
        endpoint=CHAT,
        input_file_id="file_1",
        status=status,
        created_s=1,
        expires_s=2,
        times={"cancelling": 1},
    )
    assert (batch.to_json()["status"], batch.to_json()["cancelling_at"]) == (shown, 1)
