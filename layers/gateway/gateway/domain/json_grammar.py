"""A `json_schema.normalise`d schema as a grammar (GBNF) that llama.cpp holds the model to.

Properties come in the schema's order; white space is free where models like it, and bounded, or a model may
write blanks up to `max_tokens`. Nothing may follow the top value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from gateway.domain.json_numbers import Bound, integer_rule, number_rule
from gateway.domain.json_pattern import parse_pattern, repeat_rule, rule_of
from gateway.domain.json_pattern_fit import fit

Core = Mapping[str, Any]

_NOTHING = '""'
_COMMA = '"," ws'
_BUILT_IN = {
    "ws": r'| " " | "\n" [ \t]{0,20}',
    "value": "object | array | string | number | boolean | null",
    "object": '"{" ws (member ("," ws member)* ws)? "}"',
    "member": 'string ":" ws value',
    "array": '"[" ws (value ("," ws value)* ws)? "]"',
    "string": r'"\"" char* "\""',
    # A lone surrogate is no character: \u escapes stop short of them or come in pairs.
    "char": r'[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" unicode)',
    "unicode": r'[0-9a-cA-CefEF] hex{3} | [dD] [0-7] hex{2} | [dD] [89abAB] hex{2} "\\u" [dD] [c-fC-F] hex{2}',
    "hex": "[0-9a-fA-F]",
    "number": '"-"? whole ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?',
    "integer": '"-"? whole',
    "whole": "[0] | [1-9] [0-9]{0,14}",
    "boolean": '"true" | "false"',
    "null": '"null"',
}


def grammar_of(core: Core) -> str:
    """The grammar whose every sentence is JSON that validates against `core`."""
    writer = _Writer()
    root = writer.rule(core)
    for name, definition in core.get("$defs", {}).items():
        writer.rules[_definition(name)] = writer.rule(definition)
    lines = {"root": root, **writer.rules, **_BUILT_IN}
    return "\n".join(f"{name} ::= {rule}" for name, rule in lines.items())


class _Writer:
    def __init__(self) -> None:
        self.rules: dict[str, str] = {}
        self._matching = cache(_matching)  # a schema has the same format in many places

    def rule(self, core: Core) -> str:
        """The body of a rule for `core`."""
        writers: dict[str, Callable[[Core], str]] = {
            "$ref": lambda core: _definition(core["$ref"].removeprefix("#/$defs/")),
            "anyOf": lambda core: " | ".join(self._named(branch) for branch in core["anyOf"]),
            "enum": lambda core: " | ".join(_literal(_dumped(value)) for value in core["enum"]),
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": _numeric,
            "number": _numeric,
        }
        form = next((key for key in ("$ref", "anyOf", "enum") if key in core), core.get("type", "value"))
        return writers[form](core) if form in writers else str(form)

    def _string(self, core: Core) -> str:
        least, most = core.get("minLength", 0), core.get("maxLength")
        if "pattern" in core:
            return self._matching(core["pattern"], least, most)
        if not least and most is None:
            return "string"
        return rf'"\"" {repeat_rule("char", least, most)} "\""' if most != 0 else r'"\"\""'

    def _named(self, core: Core) -> str:
        """A reference to a rule of its own, so that rules stay short and are shared."""
        body = self.rule(core)
        if body in _BUILT_IN or body in self.rules:
            return body
        name = f"r{len(self.rules)}"
        self.rules[name] = body
        return name

    def _object(self, core: Core) -> str:
        if "properties" in core:
            return self._record(core)
        values, patterns = core.get("additionalProperties", {}), core.get("patternProperties", {})
        least, most = core.get("minProperties", 0), core.get("maxProperties")
        if not values and not patterns and not least and most is None:
            return "object"
        keys = {self._string({"pattern": p}): v for p, v in patterns.items()} if patterns else {"string": values}
        members = self._add(" | ".join(f'{key} ":" ws {self._named(value)}' for key, value in keys.items()))
        return _enclosed("{", _list(members, least, most), "}")

    def _record(self, core: Core) -> str:
        required = set(core.get("required", ()))
        members = [
            (self._add(f'{_literal(_dumped(name))} ":" ws {self._named(value)}'), name in required)
            for name, value in core["properties"].items()
        ]
        if core.get("maxProperties") == 1 and not required:
            choice = " | ".join(member for member, _ in members)
            return _enclosed("{", f"({choice})" if core.get("minProperties") else f"({choice})?", "}")
        # Two chains from the last member back: what may follow with a comma, and what may come first.
        after, first = "", "" if not core.get("minProperties") else None
        for member, is_required in reversed(members):
            follow = f"{_COMMA} {member}"
            alone = f"{member} {after}".strip()
            if is_required:
                first = alone
            else:
                first = alone if first is None else f"{alone} | {self._add(first)}" if first else f"({alone})?"
            first = self._add(first)
            after = self._add(f"{follow if is_required else f'({follow})?'} {after}".strip())
        return _enclosed("{", first or "", "}")

    def _array(self, core: Core) -> str:
        prefix: Sequence[Core] = core.get("prefixItems", ())
        least, most = core.get("minItems", 0), core.get("maxItems")
        rest = ""
        if most is None or most > len(prefix):
            item = self._named(core.get("items", {}))
            count = (max(0, least - len(prefix)), None if most is None else most - len(prefix))
            rest = repeat_rule(f"({_COMMA} {item})", *count) if prefix else _list(item, *count)
        for index in reversed(range(len(prefix) if most is None else min(most, len(prefix)))):
            item = self._named(prefix[index])
            body = f"{_COMMA} {item} {rest}" if index else f"{item} {rest}"
            rest = body if index < least else f"({body})?"
        return _enclosed("[", rest, "]")

    def _add(self, body: str) -> str:
        if body in self.rules or body in _BUILT_IN or not body:
            return body
        name = f"r{len(self.rules)}"
        self.rules[name] = body
        return name


def _enclosed(opening: str, inner: str, closing: str) -> str:
    return f'"{opening}" ws {inner} ws "{closing}"' if inner else f'"{opening}" ws "{closing}"'


def _list(item: str, least: int, most: int | None) -> str:
    if most == 0:
        return ""
    more = repeat_rule(f"({_COMMA} {item})", max(0, least - 1), None if most is None else most - 1)
    several = item if most == 1 else f"{item} {more}"
    return several if least else f"({several})?"


def _matching(pattern: str, least: int, most: int | None) -> str:
    """A string of so many characters that the pattern allows."""
    node = fit(parse_pattern(pattern), least, most)
    assert node is not None, "normalise keeps no pattern that its lengths rule out"
    return rf'"\"" {rule_of(node)} "\""'


def _numeric(core: Core) -> str:
    low = _bound(core, "minimum", "exclusiveMinimum")
    high = _bound(core, "maximum", "exclusiveMaximum")
    if low is None and high is None:
        return str(core["type"])
    rule = integer_rule(low, high) if core["type"] == "integer" else number_rule(low, high)
    assert rule is not None, "normalise leaves no empty range"
    return rule


def _bound(core: Core, inclusive: str, exclusive: str) -> Bound | None:
    for key, strict in ((inclusive, False), (exclusive, True)):
        if key in core:
            return Bound(Decimal(repr(core[key])), strict)
    return None


def _definition(name: str) -> str:
    return f"def-{name}"


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _literal(text: str) -> str:
    """The text as a grammar literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else _code(char) for char in escaped) + '"'


def _code(char: str) -> str:
    return f"\\x{ord(char):02X}" if ord(char) <= 0xFF else f"\\U{ord(char):08X}"
