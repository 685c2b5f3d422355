"""Older drafts' spellings in today's (2020-12), and the misspellings that no draft has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from gateway.domain.json_flat import TYPES

_COUNTS = (
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains",
)  # fmt: skip


def misspelling(keywords: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first keyword whose value no schema may have, and what was expected; None for none."""
    for key, rule, expected in _RULES:
        if key in keywords and not rule(keywords[key]):
            return key, f"expected {expected}; got {keywords[key]!r:.80}"
    return None


def modern(keywords: dict[str, Any]) -> dict[str, Any]:
    """The same schema with tuples as prefixItems and numbers as exclusive bounds."""
    for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(keywords.get(exclusive), bool) and keywords.pop(exclusive) and inclusive in keywords:
            keywords[exclusive] = keywords.pop(inclusive)
    if isinstance(keywords.get("items"), list):
        keywords["prefixItems"] = keywords.pop("items")
        keywords["items"] = keywords.pop("additionalItems", True)
    return keywords


def _finite(number: float) -> bool:
    return isinstance(number, int) or math.isfinite(number)


def _is_json(value: Any) -> bool:
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, str):
        return not any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, list):
        return all(_is_json(item) for item in value)
    if isinstance(value, dict):
        return all(_is_json(key) and _is_json(item) for key, item in value.items())
    return value is None or isinstance(value, int)


def _is_count(value: float) -> bool:
    return _finite(value) and value >= 0 and value == int(value)


def _are_schemas(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(part, dict | bool) and _is_json(name) for name, part in value.items())
    return bool(value) and all(isinstance(part, dict | bool) for part in value)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and _is_json(name) for name in value)


def _are_types(value: str | list[Any]) -> bool:
    return bool(value) and all(kind in TYPES for kind in ([value] if isinstance(value, str) else value))


_RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    *((key, _is_count, "a whole number of at least 0") for key in _COUNTS),
    *((key, _are_schemas, "a list of at least one schema") for key in ("allOf", "anyOf", "oneOf", "prefixItems")),
    ("items", lambda value: not isinstance(value, list) or not value or _are_schemas(value), "a list of schemas"),
    *((key, _are_schemas, "an object of schemas") for key in ("properties", "patternProperties", "dependentSchemas")),
    ("required", _are_names, "a list of strings"),
    ("dependentRequired", lambda value: all(map(_are_names, value.values())), "lists of strings"),
    (
        "dependencies",
        lambda value: all(isinstance(then, dict | bool) or _are_names(then) for then in value.values()),
        "lists of strings or schemas",
    ),
    ("type", _are_types, f"one of {', '.join(TYPES)}"),
    *((key, _finite, "a finite number") for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")),
    ("multipleOf", lambda value: _finite(value) and value > 0, "a number above 0"),
    ("enum", lambda value: bool(value) and _is_json(value), "a list of at least one JSON value"),
    ("const", _is_json, "a JSON value"),
)
