"""Server-sent events: decoding at every split, encoding on one line."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from gateway.domain.sse import SseDecoder, encode_comment, encode_event
from hypothesis import given
from hypothesis import strategies as st

BODY = (
    ": a comment\n\n"
    'data: {"a": 1}\n\n'
    'event: named\nid: 7\ndata: {"b": "wörld 😀"}\n\n'
    "data:no space\n\n"
    "data: two\ndata: lines\n\n"
    "data:  \n\n"
    "data\n\n"
    "data: [DONE]\n\n"
)
EVENTS = [b'{"a": 1}', '{"b": "wörld 😀"}'.encode(), b"no space", b"two\nlines", b" ", b"[DONE]"]
LINE_ENDS = ["\n", "\r\n", "\r"]
bodies = pytest.mark.parametrize(
    "body", [BODY.replace("\n", end).encode() for end in LINE_ENDS], ids=["LF", "CRLF", "CR"]
)


def decode(*parts: bytes) -> list[bytes]:
    decoder = SseDecoder()
    events = [event for part in parts for event in decoder.feed(part)]
    assert not decoder.pending
    return events


@bodies
def test_a_body_fed_whole_gives_its_events(body: bytes) -> None:
    assert decode(body) == EVENTS


@bodies
def test_a_body_fed_byte_by_byte_gives_its_events(body: bytes) -> None:
    assert decode(*(body[index : index + 1] for index in range(len(body)))) == EVENTS


@bodies
def test_a_body_cut_at_any_one_place_gives_its_events(body: bytes) -> None:
    for cut in range(len(body) + 1):
        assert decode(body[:cut], body[cut:]) == EVENTS


@given(st.sampled_from(LINE_ENDS), st.lists(st.integers(0, len(BODY) * 2)))
def test_a_body_cut_anywhere_gives_its_events(end: str, cuts: list[int]) -> None:
    body = BODY.replace("\n", end).encode()
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    assert decode(*(body[start:stop] for start, stop in pairwise(edges))) == EVENTS


def test_an_event_is_given_out_with_the_byte_that_ends_it_and_not_before() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.pending
    assert decoder.feed(b"\n") == [b"a"]
    assert not decoder.pending


def test_what_comes_behind_a_cut_is_told_as_pending() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n\ndata: b") == [b"a"]
    assert decoder.pending


@pytest.mark.parametrize("parts", [[b"data: " + b"x" * 100], [b"data: "] + [b"x"] * 100])
def test_an_event_that_never_ends_is_refused_at_the_limit(parts: list[bytes]) -> None:
    decoder = SseDecoder(max_event_bytes=50)
    with pytest.raises(ValueError, match="over 50 bytes"):
        _ = [decoder.feed(part) for part in parts]


def test_many_small_events_in_one_part_are_not_over_the_limit() -> None:
    assert SseDecoder(max_event_bytes=50).feed(b"data: x\n\n" * 100) == [b"x"] * 100


@given(st.text())
def test_what_is_encoded_is_one_line_and_decodes_to_itself(text: str) -> None:
    payload = json.dumps(text)
    assert SseDecoder().feed(encode_event(payload)) == [payload.encode()]


def test_a_comment_is_no_event() -> None:
    assert decode(encode_comment("waiting"), encode_event("1"), encode_comment("waiting")) == [b"1"]
