"""JSON Schema's applicators taken apart: what a schema demands, as one set of keywords and alternatives beside it."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")

OF_TYPE: dict[str, tuple[str, ...]] = {
    "object": (
        "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
        "maxProperties",
    ),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}  # fmt: skip
"""The keywords that speak of one type of value only."""

Schema = Mapping[str, Any] | bool


class Conflict(Exception):
    """Two schemas that can't be written as one; the message names the keyword."""


@dataclass(slots=True)
class Flat:
    """What holds together: `keywords` of one value, and of each union one branch.

    `keywords` may have `type` (a list), `enum` and those of `OF_TYPE`; a `format` only where it is enforced.
    """

    keywords: dict[str, Any] = field(default_factory=dict)
    unions: list[Union] = field(default_factory=list)

    @property
    def never(self) -> bool:
        """Nothing can satisfy this."""
        return self.keywords.get("type") == [] or self.keywords.get("enum") == []

    @property
    def types(self) -> list[str]:
        """The types that a value may have."""
        if "enum" in self.keywords:
            found = [type_of(value) for value in self.keywords["enum"]]
            return [name for name in TYPES if name in found]
        return list(self.keywords.get("type", [name for name in TYPES if name != "integer"]))


@dataclass(frozen=True, slots=True)
class Union:
    """anyOf or oneOf with the JSON pointer of each branch."""

    keyword: str
    branches: tuple[tuple[Schema, str], ...]


def meet(a: Flat, b: Flat) -> Flat:
    """What satisfies both. Raises Conflict."""
    keywords = dict(a.keywords)
    for key, value in b.keywords.items():
        keywords[key] = _MEETS[key](keywords[key], value) if key in keywords else value
    for mine, theirs in ((a.keywords, b.keywords), (b.keywords, a.keywords)):
        _close(keywords, mine, theirs)
    _line_up(keywords, a.keywords, b.keywords)
    return Flat(keywords, a.unions + b.unions)


def both(a: Schema, b: Schema) -> Schema:
    """A schema for what satisfies both."""
    if a is False or b is False:
        return False
    if a is True or a == b:
        return b
    return a if b is True else {"allOf": [a, b]}


def type_of(value: Any) -> str:
    """The JSON type; 1.0 is an integer, as JSON Schema has it."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, float) and value.is_integer():
        return "integer"
    return {
        type(None): "null", int: "integer", float: "number", str: "string", list: "array", dict: "object"
    }[type(value)]  # fmt: skip


def overlap(a: list[str], b: list[str]) -> list[str]:
    """The types that are in both; an integer is a number."""
    shared = [name for name in a if name in b]
    if ("integer" in a and "number" in b) or ("number" in a and "integer" in b):
        shared = [*(name for name in shared if name not in ("integer", "number")), "integer"]
        if "number" in a and "number" in b:
            shared[-1] = "number"
    return shared


def canonical(value: Any) -> str:
    """A text that is the same for equal JSON values: `1` and `1.0` are, `1` and `true` are not."""

    def plain(item: Any) -> Any:
        if isinstance(item, float) and item.is_integer():
            return int(item)
        if isinstance(item, list):
            return [plain(child) for child in item]
        return {key: plain(child) for key, child in item.items()} if isinstance(item, dict) else item

    return json.dumps(plain(value), sort_keys=True)


def _close(keywords: dict[str, Any], mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """My `additionalProperties` hold for those of their properties and patterns that I do not name.

    For a name that I do name and that their pattern matches too, that is more than was asked, never less.
    """
    additional = mine.get("additionalProperties", True)
    if additional is True:
        return
    for key in ("properties", "patternProperties"):
        others, known = theirs.get(key, {}), mine.get(key, {})
        if others:
            keywords[key] = {
                name: both(schema, additional) if name in others and name not in known else schema
                for name, schema in keywords[key].items()
            }


def _line_up(keywords: dict[str, Any], a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    """A place of a list has to be what both say of it; who names no schema for it says `items`."""
    places = range(max(len(a.get("prefixItems", ())), len(b.get("prefixItems", ()))))
    if places:
        keywords["prefixItems"] = [both(_at(place, a), _at(place, b)) for place in places]


def _at(place: int, keywords: Mapping[str, Any]) -> Schema:
    prefix: list[Schema] = keywords.get("prefixItems", [])
    rest: Schema = keywords.get("items", True)
    return prefix[place] if place < len(prefix) else rest


def _each(a: Mapping[str, Schema], b: Mapping[str, Schema]) -> dict[str, Schema]:
    return {**a, **{name: both(a[name], schema) if name in a else schema for name, schema in b.items()}}


def _same(name: str) -> Callable[[Any, Any], Any]:
    def meeting(a: Any, b: Any) -> Any:
        if a != b:
            raise Conflict(name)
        return a

    return meeting


def _shared_values(a: list[Any], b: list[Any]) -> list[Any]:
    allowed = {canonical(value) for value in b}
    return [value for value in a if canonical(value) in allowed]


_MEETS: dict[str, Callable[[Any, Any], Any]] = {
    "type": overlap,
    "enum": _shared_values,
    "properties": _each,
    "patternProperties": _each,
    "additionalProperties": both,
    "items": both,
    "required": lambda a, b: [*a, *(name for name in b if name not in a)],
    "prefixItems": lambda a, _: a,  # `_line_up`
    "propertyNames": both,
    "contains": _same("contains"),
    "minContains": _same("minContains"),
    "maxContains": _same("maxContains"),
    "uniqueItems": operator.or_,
    "pattern": _same("pattern"),
    "format": _same("format"),
    "multipleOf": _same("multipleOf"),
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
