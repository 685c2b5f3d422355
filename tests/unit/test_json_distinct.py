"""Lists that repeat nothing: what comes twice is left out, however the text comes, and only where that holds."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from gateway.domain.errors import InvalidRequest
from gateway.domain.json_schema import normalise
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.shown import shown

STRINGS = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
ANYTHING = {"type": "array", "uniqueItems": True}
NODE = {"type": "object", "properties": {"n": {**ANYTHING, "items": {"$ref": "#/$defs/n"}}}}
TAGS = {"type": "object", "properties": {"tags": STRINGS, "all": {"type": "array"}}, "required": ["tags"]}

CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a set of strings": (STRINGS, '["a", "b", "a", "c","c" ]', '["a", "b", "c" ]'),
    "one item": (STRINGS, '["a"]', '["a"]'),
    "nothing": (STRINGS, "[ ]", "[ ]"),
    "the same in other words": (STRINGS, r'["é", "\u00e9", "A", "\u0041"]', '["é", "A"]'),
    "numbers": (ANYTHING, "[1, 1.0, 1e0, 10, true, 1]", "[1, 10, true]"),
    "a number at the end": (ANYTHING, "[1, 2, 1]", "[1, 2]"),
    "objects in any order": (ANYTHING, '[{"a": 1, "b": 2}, {"b": 2.0, "a": 1}, {}]', '[{"a": 1, "b": 2}, {}]'),
    "lists within": (
        {"type": "array", "items": STRINGS, "uniqueItems": True},
        '[["a", "a"], ["a"], [], ["b", "a", "b"]]',
        '[["a"], [], ["b", "a"]]',
    ),
    "a property, and none beside it": (
        TAGS,
        '{"tags": ["x", "x"], "all": ["x", "x"]}',
        '{"tags": ["x"], "all": ["x", "x"]}',
    ),
    "a name in escapes": (TAGS, r'{"t\u0061gs": ["x", "x"]}', r'{"t\u0061gs": ["x"]}'),
    "brackets and quotes in strings": (STRINGS, r'["]", "\",", "]", "\\", "\\"]', r'["]", "\",", "\\"]'),
    "a map": (
        {"type": "object", "additionalProperties": STRINGS},
        '{"tags": ["x", "x"], "more": ["x", "x", "y"]}',
        '{"tags": ["x"], "more": ["x", "y"]}',
    ),
    "a set that may be null": ({"anyOf": [STRINGS, {"type": "null"}]}, '["x", "x"]', '["x"]'),
    "null instead": ({"anyOf": [STRINGS, {"type": "null"}]}, "null", "null"),
    "recursion": (
        {"$ref": "#/$defs/n", "$defs": {"n": NODE}},
        '{"n": [{}, {"n": [{}, {}]}, {}, {"n": [{}]}]}',
        '{"n": [{}, {"n": [{}]}]}',
    ),
    "items of a tuple": (
        {"type": "array", "prefixItems": [{"type": "null"}, STRINGS], "minItems": 2},
        '[null, ["a", "a"], ["a", "a"]]',
        '[null, ["a"], ["a"]]',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, None])
def test_what_a_list_has_already_is_left_out(name: str, size: int | None) -> None:
    schema, written, expected = CASES[name]
    told = shown(normalise(schema, param="schema"), written, size=size)
    assert told == expected
    if name != "items of a tuple":  # it has items of both kinds at the same place
        jsonschema.Draft202012Validator(schema).validate(json.loads(told))


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({**STRINGS, "minItems": 2}, "/uniqueItems"),
        ({"type": "array", "prefixItems": [{"type": "string"}], "uniqueItems": True}, "/uniqueItems"),
        ({"anyOf": [{**STRINGS, "maxItems": 9}, {"type": "array", "minItems": 2}]}, "/anyOf/0/uniqueItems"),
        ({"anyOf": [STRINGS, {"const": ["a", "a"]}]}, "/anyOf/0/uniqueItems"),
        (
            {"anyOf": [TAGS, {"type": "object", "properties": {"tags": {"type": "array", "minItems": 3}}}]},
            "/anyOf/0/properties/tags/uniqueItems",
        ),
        ({"anyOf": [TAGS, {"enum": [{"tags": [1, 1]}]}]}, "/anyOf/0/properties/tags/uniqueItems"),
    ],
)
def test_where_an_item_could_not_be_left_out_the_schema_is_refused(schema: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidRequest, match=f"at {pointer} can't be enforced"):
        normalise(schema, param="schema")


VALUES = st.recursive(
    st.sampled_from([None, True, 0, 1, 1.0, "", "a", "]", '"', "é", ","]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "\\"]), inner, max_size=2),
    max_leaves=12,
)


@settings(deadline=None)
@given(
    items=st.lists(VALUES, max_size=6),
    size=st.integers(1, 5),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_any_list_becomes_one_without_a_repeat(
    items: list[Any], size: int, indent: int | None, ascii_only: bool
) -> None:
    core = normalise(ANYTHING, param="schema")
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_only)
    told = json.loads(shown(core, text, size=size))
    jsonschema.Draft202012Validator(ANYTHING).validate(told)
    assert all(any(_same(item, kept) for kept in told) for item in items)
    assert len(told) <= len(items)


@settings(deadline=None)
@given(items=st.lists(VALUES, max_size=5), cut=st.floats(0, 1), size=st.integers(1, 5))
def test_a_list_that_is_cut_anywhere_parses(items: list[Any], cut: float, size: int) -> None:
    text = json.dumps({"tags": items}, ensure_ascii=False)
    schema = {"type": "object", "properties": {"tags": ANYTHING}}
    told = shown(normalise(schema, param="schema"), text[: round(cut * len(text))], size=size)
    json.loads(told)


@given(text=st.text(st.sampled_from('[]{}",:1a\\ '), max_size=30), size=st.integers(1, 4))
def test_what_is_no_json_passes_and_raises_nothing(text: str, size: int) -> None:
    shown(normalise(TAGS, param="schema"), text, size=size)


def _same(a: Any, b: Any) -> bool:
    return bool(jsonschema.Draft202012Validator({"const": a}).is_valid(b))
