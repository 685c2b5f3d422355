"""The closer against the stdlib's parser, at every split point."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from gateway.domain.json_closer import JsonCloser, Top
from hypothesis import given, settings
from hypothesis import strategies as st

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
CONTAINERS = st.lists(VALUES, max_size=4) | st.dictionaries(st.text(), VALUES, max_size=4)
DUMPS = st.sampled_from([{"ensure_ascii": True}, {"ensure_ascii": False}, {"indent": 1}, {"separators": (",", ":")}])


def fed(text: str, *, seed: int, top: Top = "object") -> JsonCloser:
    """A closer that got the text in random pieces."""
    closer, source, start = JsonCloser(top), random.Random(seed), 0
    while start < len(text):
        end = start + source.randint(1, 4)
        closer.feed(text[start:end])
        start = end
    return closer


@settings(deadline=None)
@given(value=VALUES, style=DUMPS, cut=st.floats(0, 1), seed=st.integers())
def test_every_prefix_of_every_document_parses_once_closed(
    value: Any, style: dict[str, Any], cut: float, seed: int
) -> None:
    document = json.dumps(value, **style)
    prefix = document[: round(cut * len(document))]
    closer = fed(prefix, seed=seed)
    assert not closer.broken
    json.loads(prefix + closer.closing())


@settings(deadline=None)
@given(value=CONTAINERS, style=DUMPS, cut=st.floats(0, 1), seed=st.integers())
def test_a_cut_container_stays_the_container_that_it_was(
    value: Any, style: dict[str, Any], cut: float, seed: int
) -> None:
    document = json.dumps(value, **style)
    prefix = document[: round(cut * len(document))]
    closer = fed(prefix, seed=seed, top="array" if isinstance(value, list) else "object")
    assert type(json.loads(prefix + closer.closing())) is type(value)


@settings(deadline=None)
@given(value=VALUES, style=DUMPS, seed=st.integers())
def test_a_whole_document_is_complete_and_needs_no_closing(value: Any, style: dict[str, Any], seed: int) -> None:
    closer = fed(json.dumps(value, **style) + " \n", seed=seed)
    assert closer.complete
    assert closer.closing() == ""


@settings(deadline=None)
@given(text=st.text(), cut=st.floats(0, 1), seed=st.integers())
def test_a_closed_string_can_always_be_sent_as_utf8(text: str, cut: float, seed: int) -> None:
    document = json.dumps([text])
    prefix = document[: round(cut * len(document))]
    "".join(json.loads(prefix + fed(prefix, seed=seed, top="array").closing())).encode()


@pytest.mark.parametrize(
    ("prefix", "closing"),
    [
        ("{", "}"),
        ('{"', '":null}'),
        ('{"a', '":null}'),
        ('{"a"', ":null}"),
        ('{"a":', "null}"),
        ('{"a":1,', '"":null}'),
        ("[1,", "null]"),
        ("[-", "0]"),
        ("[1.", "0]"),
        ("[1e", "0]"),
        ("[1e+", "0]"),
        ("[tru", "e]"),
        ("[n", "ull]"),
        ('["a\\', 'n"]'),
        ('["\\u', '0020"]'),
        ('["\\u000', 'a"]'),
        ('["\\ud83d', '\\udc00"]'),
        ('["\\ud83d\\', 'udc00"]'),
        ('["\\ud83d\\ud', 'c00"]'),
        ('["\\ud83d\\ude', '20"]'),
        ('["\\ud8', '20\\udc00"]'),
        ("  ", "{}"),
    ],
)
def test_the_closing_is_the_shortest_that_fits(prefix: str, closing: str) -> None:
    closer = JsonCloser()
    closer.feed(prefix)
    assert closer.closing() == closing
    json.dumps(json.loads(prefix + closing), ensure_ascii=False).encode()


@pytest.mark.parametrize(("top", "text"), [("object", "{}"), ("array", "[]"), ("value", "null")])
def test_nothing_at_all_closes_to_the_empty_value_of_the_expected_type(top: Top, text: str) -> None:
    assert JsonCloser(top).closing() == text


@pytest.mark.parametrize(
    "text",
    [
        "{} x",
        "[1,]",
        "{,",
        '{"a" 1',
        "[01]",
        "[1.e",
        "nul!",
        '["\\x',
        '["\\u00g',
        '["a\nb',
        "]",
        '{"a":1]',
        "1 2",
        "[--",
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_what_is_no_json_is_reported_broken_and_left_alone(text: str, size: int) -> None:
    closer = JsonCloser()
    for start in range(0, len(text), size):
        closer.feed(text[start : start + size])
    assert closer.broken
    assert not closer.complete
    assert closer.closing() == ""


def test_taking_stops_where_the_top_value_ends() -> None:
    closer = JsonCloser()
    assert closer.take('{"a":[1]}, {"b"') == len('{"a":[1]}')
    assert closer.complete
    assert not closer.broken
