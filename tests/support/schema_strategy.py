"""JSON schemas to draw: over the keywords that are enforced, with some that are refused among them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]

NAMES = st.sampled_from(["a", "b", "x-1", "long name", "é"])
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.sampled_from([0.5, 1e3, 'a\n"b\\'])
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(NAMES, SCALARS, max_size=2)
PATTERNS = st.sampled_from(
    ["^[a-z]{2,4}$", "^a|b$", "\\d{3}", "^x-", "", '[^"]+', "^(?=a)", "^\\w+@\\w+\\.com$", "(ab)*c"]
)
LONG_FORMATS = st.sampled_from(["email", "uri", "hostname"])
FORMATS = st.sampled_from(["date", "date-time", "time", "email", "uuid", "ipv4", "uri", "hostname", "unheard-of"])


def some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    """Objects with some of these keywords."""
    return st.fixed_dictionaries({}, optional=keywords)


def typed(type_: str, **keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    """A schema of this type with some of these keywords."""
    return some(**keywords).map(lambda chosen: {"type": type_, **chosen})


STRINGS = (
    typed("string", minLength=st.integers(0, 4), maxLength=st.integers(0, 6))
    | typed("string", pattern=PATTERNS)
    | typed("string", pattern=PATTERNS, maxLength=st.integers(0, 9))
    | typed("string", format=FORMATS)
    | some(format=FORMATS)
    | typed("string", format=LONG_FORMATS, minLength=st.integers(0, 5), maxLength=st.integers(40, 2083))
)
NUMBERS = st.sampled_from(["integer", "number"]).flatmap(
    lambda type_: typed(
        type_,
        minimum=st.integers(-20, 20) | st.just(-0.5),
        maximum=st.integers(-20, 120) | st.just(0.75),
        exclusiveMinimum=st.integers(-20, 20),
        exclusiveMaximum=st.integers(-20, 120),
        multipleOf=st.sampled_from([1, 2, 5, 7, 10, 0.5, 0]),
    )
)
PLAIN: list[Schema] = [
    {},
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["string", "null"]},
    {"$ref": "#/$defs/d"},
]
LEAVES: st.SearchStrategy[Schema] = (
    STRINGS
    | NUMBERS
    | st.sampled_from(PLAIN)
    | st.lists(VALUES, min_size=1, max_size=4).map(lambda values: {"enum": values})
    | VALUES.map(lambda value: {"const": value})
)
REFUSED = st.sampled_from(
    [
        {"not": {"minLength": 2}},
        {"if": {"type": "string"}, "then": {"minLength": 2}},
        {"unevaluatedProperties": False},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.com/s"},
        {"type": "text"},
        {"minLength": "2"},
        {"properties": []},
        {"required": "a"},
        {"pattern": "("},
    ]
)


def around(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    """Schemas of these parts."""
    several: st.SearchStrategy[list[Schema]] = st.lists(inner, min_size=1, max_size=3)
    arrays = typed(
        "array",
        items=inner | st.booleans(),
        prefixItems=several,
        contains=inner,
        minItems=st.integers(0, 3),
        maxItems=st.integers(0, 4),
        uniqueItems=st.booleans(),
    )
    objects = typed(
        "object",
        properties=st.dictionaries(NAMES, inner, max_size=3),
        required=st.lists(NAMES, max_size=2, unique=True),
        additionalProperties=inner | st.booleans(),
        patternProperties=st.dictionaries(PATTERNS.filter(bool), inner, max_size=1),  # jsonschema takes "" for none
        propertyNames=STRINGS,
        minProperties=st.integers(0, 2),
        maxProperties=st.integers(0, 3),
        dependentRequired=st.dictionaries(NAMES, st.lists(NAMES, max_size=2), max_size=1),
    )
    keys = st.sampled_from(["anyOf", "oneOf", "allOf"])
    unions: st.SearchStrategy[Schema] = keys.flatmap(lambda key: several.map(lambda parts: {key: parts}))
    return arrays | objects | unions | st.builds(lambda one, other: {**one, **other}, objects, unions)


SCHEMAS: st.SearchStrategy[Schema] = st.recursive(LEAVES, around, max_leaves=6)
ACCEPTED_MOSTLY = st.tuples(SCHEMAS, SCHEMAS).map(lambda pair: {**pair[0], "$defs": {"d": pair[1]}})
REFUSED_SOMEWHERE = st.recursive(REFUSED, around, max_leaves=3)
