"""Reading requests: JSON within bounds, and messages that name the field, what it takes and what came."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated, Any

import pytest
from gateway.domain.errors import InvalidRequest
from gateway.domain.wire import WireModel, describe, json_path, parse_json_object, parse_request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Inner(WireModel):
    """Something nested."""

    size: Annotated[int, Field(ge=1)]


class Body(WireModel):
    """Something to send."""

    count: Annotated[int, Field(ge=1, le=9)]
    ratio: float = 1.0
    items: list[Inner] | None = None


EXPECTED = {"count": "an integer from 1 to 9", "items.*": "an item", "items.*.size": "an integer of at least 1"}


def refusal(fields: dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(Body, fields, expected=EXPECTED)
    return caught.value


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=5))
def test_every_json_object_is_read_as_what_it_says(value: dict[str, Any]) -> None:
    assert parse_json_object(json.dumps(value).encode()) == value


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    with suppress(InvalidRequest):
        assert isinstance(parse_json_object(body), dict)


@pytest.mark.parametrize(
    ("body", "came"),
    [
        (b"[1, 2]", "an array of 2"),
        (b"[]", "an empty array"),
        (b"null", "null"),
        (b"3", "the number 3"),
        (b'"x"', "the string 'x'"),
        (b"true", "true"),
    ],
)
def test_a_body_that_is_no_object_is_told_what_it_is(body: bytes, came: str) -> None:
    with pytest.raises(InvalidRequest, match=came):
        parse_json_object(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": "\\ud800"}', b'{"a": "\xff"}', b"[" * 5000, b"{'a': 1}"],
    ids=["empty", "open", "nan", "infinity", "surrogate", "utf-8", "deep", "quotes"],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not valid JSON"):
        parse_json_object(body)


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({}, "count", "'count' is required."),
        ({"count": None}, "count", "'count' is required."),
        ({"count": 10}, "count", "'count' must be an integer from 1 to 9, got the number 10."),
        ({"count": "1"}, "count", "'count' must be an integer from 1 to 9, got the string '1'."),
        ({"count": True}, "count", "'count' must be an integer from 1 to 9, got true."),
        ({"count": 1.5}, "count", "'count' must be an integer from 1 to 9, got the number 1.5."),
        ({"count": float("inf")}, "count", "'count' must be an integer from 1 to 9, got a number too large."),
        ({"count": 1, "items": [{"size": 1}, 7]}, "items[1]", "'items[1]' must be an item, got the number 7."),
        (
            {"count": 1, "items": [{"size": 0}]},
            "items[0].size",
            "'items[0].size' must be an integer of at least 1, got the number 0.",
        ),
        ({"count": 1, "items": [{}]}, "items[0].size", "'items[0].size' is required."),
    ],
)
def test_a_bad_field_is_named_by_its_path_with_what_was_expected_and_what_came(
    fields: dict[str, Any], param: str, message: str
) -> None:
    error = refusal(fields)
    assert (error.param, error.message) == (param, message)


def test_a_field_without_words_of_its_own_is_still_named() -> None:
    error = refusal({"count": 1, "ratio": "x"})
    assert error.param == "ratio"
    assert "got the string 'x'" in error.message


def test_a_null_optional_field_is_an_absent_one() -> None:
    assert parse_request(Body, {"count": 1, "ratio": None}, expected=EXPECTED).ratio == 1.0


def test_unknown_fields_are_kept_by_name() -> None:
    assert parse_request(Body, {"count": 1, "x": 1, "y": {}}, expected=EXPECTED).unknown_fields == ("x", "y")


@given(st.lists(st.integers(0, 99) | st.text("abc", min_size=1)).map(tuple))
def test_a_path_reads_as_code_would_reach_the_field(location: tuple[int | str, ...]) -> None:
    path = json_path(location)
    assert path.count("[") == sum(isinstance(step, int) for step in location)
    assert not path.startswith(".")
    assert ".[" not in path


@given(JSON_VALUES | st.integers(10**400, 10**401) | st.floats())
def test_what_came_is_described_on_one_short_line(value: Any) -> None:
    described = describe(value)
    assert "\n" not in described
    assert len(described) < 400
