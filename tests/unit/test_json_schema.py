"""Whatever a model can write under our grammar validates against the client's schema; the rest is one clean 400.

The judge is `jsonschema`; the model is played by random sentences of the grammar, which are worse than any model's.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import jsonschema
import pytest
from gateway.domain.errors import InvalidRequest
from gateway.domain.json_formats import FORMATS
from gateway.domain.json_grammar import grammar_of
from gateway.domain.json_schema import DEEPEST, LARGEST_BYTES, check_schema, normalise
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.grammar_sampler import GrammarSampler
from tests.support.shown import shown

Draft = jsonschema.Draft202012Validator

RECURSIVE = {"$ref": "#/$defs/node", "$defs": {"node": {"properties": {"next": {"$ref": "#/$defs/node"}}}}}
PET = {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind"]}
DOG = {"type": "object", "properties": {"kind": {"const": "dog"}, "tail": {}}, "required": ["kind"]}

ENFORCED: dict[str, Any] = {
    "anything": {},
    "annotations": {"title": "T", "description": "D", "default": 1, "examples": [1], "x-mine": True, "$comment": "c"},
    "types": {"type": ["string", "null", "integer", "number", "boolean", "array", "object"]},
    "const": {"const": {"a": [1, 'q"\\\n é\u2028']}},
    "enum": {"enum": [1, "1", None, True, [1], {}, 1.5]},
    "enum beside type": {"type": "string", "enum": ["a", 1, None]},
    "enum beside bounds": {"enum": [1, 5, 9, "x"], "minimum": 4, "exclusiveMaximum": 9},
    "integer bounds": {"type": "integer", "minimum": -12, "exclusiveMaximum": 345},
    "integer from": {"type": "integer", "exclusiveMinimum": 1997},
    "integer to": {"type": "integer", "maximum": -3},
    "number bounds": {"type": "number", "minimum": 0, "maximum": 1},
    "number strict": {"type": "number", "exclusiveMinimum": -0.25, "exclusiveMaximum": 12.75},
    "number between": {"type": "number", "minimum": 3.141, "maximum": 3.1416},
    "multipleOf one": {"type": "number", "multipleOf": 1},
    "multipleOf few": {"type": "integer", "multipleOf": 5, "minimum": 1, "maximum": 30},
    "lengths": {"type": "string", "minLength": 2, "maxLength": 5},
    "long": {"type": "string", "minLength": 120, "maxLength": 1234},
    "empty string": {"type": "string", "maxLength": 0},
    "pattern": {"type": "string", "pattern": r"^[A-Z]{2}-\d{3,5}(\.[^/\s]+)?$"},
    "pattern unanchored": {"type": "string", "pattern": 'a"b|\\\\c'},
    "pattern and length": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 4},
    "formats": {"properties": {name: {"type": "string", "format": name} for name in FORMATS}, "required": [*FORMATS]},
    "format and lengths": {"type": "string", "format": "uri", "minLength": 1, "maxLength": 2083},
    "format in little room": {"type": "string", "format": "email", "maxLength": 20},
    "format of other lengths": {"type": "string", "format": "semver", "minLength": 3, "maxLength": 9},
    "format unknown": {"type": "string", "format": "semver"},
    "format alone": {"properties": {name: {"format": name} for name in FORMATS}, "required": [*FORMATS]},
    "format twice": {"allOf": [{"format": "semver"}, {"format": "uuid"}, {"format": "slug"}, {"format": "uuid"}]},
    "format beside enum": {"format": "date", "enum": ["2026-02-28"]},
    "format of a part beside a pattern": {"allOf": [{"format": "date"}, {"pattern": "^2026-0[1-9]-[01][1-9]$"}]},
    "format and lengths of two": {"allOf": [{"format": "uri"}, {"minLength": 12, "maxLength": 30}]},
    "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
    "no items": {"type": "array", "maxItems": 0},
    "items false": {"type": "array", "items": False},
    "tuple": {"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "null"}, "minItems": 1},
    "tuples of two": {
        "items": {"type": "integer"},
        "minItems": 3,
        "allOf": [{"prefixItems": [{"minimum": 3}]}, {"prefixItems": [True, {"maximum": 2}], "items": {"minimum": 0}}],
    },
    "tuple of a branch": {"items": False, "anyOf": [{"prefixItems": [True]}]},
    "tuple closed": {"prefixItems": [{"type": "string"}, True], "items": False, "minItems": 2},
    "contains": {"type": "array", "contains": {"const": 7}, "minContains": 2, "maxContains": 3},
    "unique": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 1},
    "unique of anything": {
        "type": "array",
        "items": {"maxLength": 1},
        "uniqueItems": True,
        "minItems": 1,
        "maxItems": 6,
    },
    "properties": {"properties": {"a": {"type": "string"}, "b": {"type": "null"}, "": {}}, "required": ["b"]},
    "odd names": {"properties": {'q"\\': {}, "é\n": {}, "]-^": {}, "a b": {}}, "required": ["]-^"]},
    "required only": {"type": "object", "required": ["x"], "additionalProperties": {"type": "integer"}},
    "closed": {"type": "object", "additionalProperties": False},
    "map": {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1, "maxProperties": 3},
    "patternProperties": {
        "type": "object",
        "properties": {"x-a": {"minLength": 1}, "b": {}},
        "patternProperties": {"^x-": {"type": "string"}},
        "additionalProperties": False,
    },
    "patternProperties beside a branch that closes": {
        "type": "object",
        "patternProperties": {"b$": True},
        "oneOf": [{"additionalProperties": {"type": "integer", "minimum": 3}}],
    },
    "patternProperties only": {"type": "object", "patternProperties": {"^[a-z]+$": {"type": "null"}, "^S_": {}}},
    "propertyNames": {"type": "object", "propertyNames": {"pattern": "^[a-f]{1,3}$"}},
    "propertyNames enum": {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "minProperties": 1},
    "minProperties": {"properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 1},
    "maxProperties": {"properties": {"a": {}, "b": {}, "c": {}}, "maxProperties": 1},
    "exactly one": {"properties": {"a": {}, "b": {}}, "minProperties": 1, "maxProperties": 1},
    "dependentRequired": {"properties": {"a": {}, "b": {}, "c": {}}, "dependentRequired": {"a": ["b"]}},
    "dependencies": {
        "properties": {"a": {}, "b": {}},
        "dependencies": {"a": {"required": ["b"], "properties": {"b": {"type": "null"}}}},
    },
    "anyOf": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}, {"type": "integer"}]},
    "anyOf beside": {"properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "oneOf types": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    "oneOf tagged": {"oneOf": [PET, DOG]},
    "oneOf required": {
        "properties": {"a": {}, "b": {}, "c": {}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}, {"required": ["c"]}],
    },
    "allOf": {"allOf": [{"properties": {"a": {"type": "string"}}}, {"required": ["a", "b"]}, PET], "minProperties": 2},
    "allOf bounds": {"type": "integer", "allOf": [{"minimum": 3}, {"maximum": 5}, {"type": ["number", "string"]}]},
    "allOf closed": {
        "allOf": [{"properties": {"a": {}}, "additionalProperties": False}, {"properties": {"b": {"type": "null"}}}]
    },
    "not required": {"properties": {"a": {}, "b": {}}, "not": {"required": ["a"]}},
    "not type": {"not": {"type": ["object", "array", "integer"]}},
    "if without then": {"type": "string", "if": {"minLength": 3}},
    "reference": {"$defs": {"a/b~c d": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/a~1b~0c%20d"}}},
    "reference beside": {"$defs": {"s": {"type": "string"}}, "items": {"$ref": "#/$defs/s", "maxLength": 2}},
    "definitions alike": {
        "$defs": {"a-b": {"type": "string"}, "a_b": {"type": "integer"}},
        "type": "array",
        "prefixItems": [{"$ref": "#/$defs/a-b"}, {"$ref": "#/$defs/a_b"}],
        "minItems": 2,
    },
    "recursion": RECURSIVE,
    "recursion of the root": {"properties": {"children": {"type": "array", "items": {"$ref": "#"}}}},
    "wide": {"properties": {f"p{n}": {"type": "boolean"} for n in range(30)}, "required": ["p7", "p20"]},
}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"properties": {"a": {"not": {"minLength": 3}}}}, "/properties/a/not"),
    ({"if": {}, "then": {"type": "string"}}, "/if"),
    ({"items": {"unevaluatedItems": False}}, "/items/unevaluatedItems"),
    ({"unevaluatedProperties": False}, "/unevaluatedProperties"),
    ({"$dynamicRef": "#x"}, "/$dynamicRef"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "/oneOf"),
    ({"oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, "/oneOf"),
    ({"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 2}, "/uniqueItems"),
    ({"type": "number", "multipleOf": 0.1}, "/multipleOf"),
    ({"type": "integer", "multipleOf": 2}, "/multipleOf"),
    ({"type": "string", "pattern": "^(?=a)"}, "/pattern"),
    ({"type": "string", "pattern": r"\bword\b"}, "/pattern"),
    ({"type": "string", "pattern": "a^b"}, "/pattern"),
    ({"type": "string", "pattern": "(a"}, "/pattern"),
    ({"type": "string", "pattern": "*"}, "/pattern"),
    ({"type": "string", "pattern": "[\ud800-\udfff]"}, "/pattern"),
    ({"type": "string", "pattern": r"\x00"}, "/pattern"),
    ({"type": "string", "pattern": r"[^\x00-\uffff\S]"}, "/pattern"),
    ({"enum": ["a"], "pattern": "a"}, "/pattern"),
    ({"allOf": [{"format": "date"}, {"format": "uuid"}]}, "/format"),
    ({"$defs": {"d": {"type": "object", "anyOf": [{}, {"$ref": "#/$defs/d"}]}}, "$ref": "#/$defs/d"}, "/$defs/d/anyOf"),
    (
        {"$defs": {"d": {"type": "object", "oneOf": [{"$ref": "#/$defs/d"}]}}, "anyOf": [{"$ref": "#/$defs/d"}]},
        "/$defs/d/oneOf",
    ),
    ({"type": "object", "minProperties": 2}, "/minProperties"),
    ({"properties": {"a": {}, "b": {}, "c": {}}, "maxProperties": 2}, "/maxProperties"),
    ({"type": "object", "properties": {"a": {}}, "propertyNames": {"maxLength": 3}}, "/propertyNames"),
    ({"$ref": "https://example.com/schema"}, "/$ref"),
    ({"$ref": "#/$defs/none"}, "/$ref"),
    ({"$ref": "#"}, "/$ref"),
    ({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {}]}}, "items": {"$ref": "#/$defs/a"}}, "/$defs/a/$ref"),
    ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "/$ref"),
    ({"type": "string", "minLength": 3, "maxLength": 2}, "/"),
    ({"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 2, "maxProperties": 1}, "/"),
    ({"allOf": [{"type": "string"}, {"type": "null"}]}, "/"),
    ({"type": "text"}, "/type"),
    ({"type": []}, "/type"),
    ({"properties": []}, "/properties"),
    ({"properties": {"a": 1}}, "/properties"),
    ({"required": "a"}, "/required"),
    ({"minLength": -1}, "/minLength"),
    ({"minLength": True}, "/minLength"),
    ({"maximum": float("inf")}, "/maximum"),
    ({"enum": []}, "/enum"),
    ({"const": "\ud800"}, "/const"),
    ({"anyOf": []}, "/anyOf"),
    ({"items": [1]}, "/items"),
    ({"not": {"type": [[]]}}, "/not/type"),
]


def samples(schema: Any, *, seed: int = 0, count: int = 12) -> list[Any]:
    """What a model could answer under the schema."""
    return answers(normalise(schema, param="schema"), seed=seed, count=count)


CHAINS: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
    "beside": lambda link: {**link, "minLength": 1},
    "allOf": lambda link: {"allOf": [link]},
    "anyOf": lambda link: {"type": ["string", "object"], "anyOf": [link, {"type": "string"}]},
    "oneOf": lambda link: {"oneOf": [link, {"type": "null"}]},
    "dependentSchemas": lambda link: {"type": "object", "dependentSchemas": {"a": link}},
    "not": lambda link: {"not": {"anyOf": [link]}},
    "properties": lambda link: {"type": "object", "properties": {"a": {**link, "minProperties": 0}}, "required": ["a"]},
    "items": lambda link: {"type": "array", "items": link, "minItems": 1, "uniqueItems": True},
    "additionalProperties": lambda link: {"type": "object", "additionalProperties": link, "minProperties": 1},
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("last", [{"type": "string"}, {"type": "object"}])
def test_a_chain_of_definitions_longer_than_the_interpreter_s_stack_is_enforced_or_refused(
    name: str, last: dict[str, Any]
) -> None:
    links = [CHAINS[name]({"$ref": f"#/$defs/d{number + 1}"}) for number in range(sys.getrecursionlimit())]
    definitions = {f"d{number}": link for number, link in enumerate([*links, last])}
    try:
        core = normalise({"$ref": "#/$defs/d0", "$defs": definitions}, param="schema")
    except InvalidRequest as refused:
        assert "can't be enforced" in refused.message  # noqa: PT017 - an outcome, not the subject
    else:
        assert grammar_of(core).startswith("root ::= ")


def answers(core: Any, *, again: Any = None, seed: int = 0, count: int = 12) -> list[Any]:
    """What a client is shown under the core, written under its grammar, or that of `again`."""
    sampler = GrammarSampler(grammar_of(again or core), Random(seed))
    return [json.loads(shown(core, sampler.sentence())) for _ in range(count)]


@pytest.mark.parametrize("name", ENFORCED)
def test_every_answer_under_an_enforced_schema_validates(name: str) -> None:
    judge = Draft(ENFORCED[name], format_checker=Draft.FORMAT_CHECKER)
    for value in samples(ENFORCED[name], count=40):
        judge.validate(value)


@pytest.mark.parametrize("name", ENFORCED)
def test_a_normalised_schema_says_no_less_than_the_original_and_can_be_normalised_again(name: str) -> None:
    core = normalise(ENFORCED[name], param="schema")
    Draft.check_schema(core)
    judge = Draft(ENFORCED[name])
    for value in answers(core, again=normalise(core, param="schema")):
        judge.validate(value)


@pytest.mark.parametrize(("schema", "pointer"), REFUSED)
def test_what_can_not_be_enforced_is_refused_by_keyword_and_pointer(schema: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_schema(schema, param="response_format.json_schema.schema")
    assert refused.value.param == "response_format.json_schema.schema"
    assert f" at {pointer} can't be enforced" in refused.value.message


def test_every_listed_value_and_every_branch_can_be_answered() -> None:
    assert {repr(value) for value in samples({"enum": ["a", 1, None]}, count=60)} == {"'a'", "1", "None"}
    kinds = {value["kind"] for value in samples({"oneOf": [PET, DOG]}, count=60)}
    assert kinds == {"cat", "dog"}
    assert {len(value) for value in samples(ENFORCED["unique"], count=100)} == {1, 2, 3}
    assert {len(value) for value in samples(ENFORCED["minProperties"], count=100)} == {1, 2, 3}


KEYWORDS = st.recursive(
    st.sampled_from([True, False, {}, {"type": "string"}, {"type": "integer", "minimum": 3}, {"enum": [1, "a", None]}]),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", ["object", "string"], ["array", "null", "number"]]),
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "required": st.lists(st.sampled_from("abcd"), max_size=2, unique=True),
            "additionalProperties": inner,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$", "^[a-b]{2}$"]), inner, max_size=2),
            "minProperties": st.integers(0, 2),
            "maxProperties": st.integers(0, 2),
            "items": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "contains": inner,
            "uniqueItems": st.booleans(),
            "minItems": st.integers(0, 2),
            "maxItems": st.integers(0, 3),
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "oneOf": st.lists(inner, min_size=1, max_size=3),
            "allOf": st.lists(inner, min_size=1, max_size=3),
            "not": inner,
            "dependentRequired": st.dictionaries(st.sampled_from("ab"), st.just(["c"]), max_size=1),
            "maxLength": st.integers(0, 3),
            "maximum": st.integers(-3, 9),
        },
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(schema=KEYWORDS, seed=st.integers(0, 10**6))
def test_any_schema_gives_valid_answers_or_one_clean_refusal(schema: Any, seed: int) -> None:
    assume(isinstance(schema, dict))
    try:
        values = samples(schema, seed=seed, count=4)
    except InvalidRequest:
        return
    for value in values:
        Draft(schema).validate(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just("#/a"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [*Draft.VALIDATORS, "definitions", "$defs", "id", "$id", "then", "additionalItems", "dependencies", "a"]
)


@settings(max_examples=400, deadline=None)
@given(schema=st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON, max_size=3), max_size=4))
def test_no_rubbish_does_more_than_be_refused(schema: dict[str, Any]) -> None:
    try:
        core = normalise(schema, param="schema")
    except InvalidRequest:
        return
    grammar_of(core)


BOUNDS = st.decimals(-2000, 2000, places=3) | st.integers(-(10**6), 10**6).map(Decimal)


@settings(deadline=None)
@given(low=BOUNDS, high=BOUNDS, strict_low=st.booleans(), strict_high=st.booleans(), seed=st.integers(0, 10**6))
def test_numbers_keep_their_bounds(low: Decimal, high: Decimal, strict_low: bool, strict_high: bool, seed: int) -> None:
    schema = {
        "exclusiveMinimum" if strict_low else "minimum": float(low),
        "exclusiveMaximum" if strict_high else "maximum": float(high),
    }
    for kind in ("number", "integer"):
        try:
            values = samples({"type": kind, **schema}, seed=seed, count=5)
        except InvalidRequest as refused:
            assert "no value can satisfy it" in refused.message  # noqa: PT017 - an outcome, not the subject
            continue
        for value in values:
            Draft({"type": kind, **schema}).validate(value)


@pytest.mark.parametrize(
    "pattern",
    [
        "^abc$",
        "abc",
        "^a|b$",
        "^(a|bc)+$",
        "^(?:x|y){2,3}z?$",
        r"^\w+@\w+\.(com|org)$",
        r"^[^\d]{3}$",
        r"^\D\W\S$",
        r"^[\w.-]*\/\*$",
        r"^\x41\u00e9$",
        r'^["\\]{2}$',
        "^.{0,3}$",
        "^a{3}$",
        "^a{2,}$",
        "^a+?$",
        "",
        "^$",
        r"^[a-f\-]+[+-]$",
        "(^a$|^b$)",
    ],
)
def test_what_is_written_under_a_pattern_matches_it(pattern: str) -> None:
    for value in samples({"type": "string", "pattern": pattern}, count=30):
        assert re.search(pattern, value), (pattern, value)


@pytest.mark.parametrize(
    ("pattern", "least", "most"),
    [
        ("^[a-z0-9]+(-[a-z0-9]+)*$", 0, 9),
        ("^[a-z0-9]+(-[a-z0-9]+)*$", 12, 15),
        (r"^\S+@\S+$", 5, 25),
        (r"^(?:\S+\s+){0,49}\S+$", 1, 50),
        ("^https?://.+$", 0, 40),
        ("^(ab|cde)+$", 4, 7),
        ("^(ab)*$", 3, 5),
        ("^[^.]{1,32}(\\.[a-z]*)?$", 0, 12),
        ("x", 10, 12),
        ("^(a|b{5,9})c$", 3, 7),
    ],
)
def test_a_pattern_and_its_lengths_hold_together(pattern: str, least: int, most: int) -> None:
    schema = {"type": "string", "pattern": pattern, "minLength": least, "maxLength": most}
    for value in samples(schema, count=40):
        Draft(schema).validate(value)


def test_size_and_depth_have_limits() -> None:
    deep: dict[str, Any] = {}
    for _ in range(DEEPEST + 1):
        deep = {"items": deep}
    very_deep: dict[str, Any] = {}
    for _ in range(900):
        very_deep = {"allOf": [very_deep]}
    twins = {"anyOf": [{"minLength": 1}, {"minItems": 1}]}
    for schema in (deep, very_deep, {"description": "x" * LARGEST_BYTES}, {"allOf": [twins] * 20}):
        with pytest.raises(InvalidRequest):
            normalise(schema, param="schema")


@pytest.mark.parametrize("value", [None, 1, "object", [], True])
def test_a_schema_is_an_object(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="must be a JSON schema"):
        normalise(value, param="schema")
