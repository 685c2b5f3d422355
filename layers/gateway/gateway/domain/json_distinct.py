"""Lists that repeat nothing (`uniqueItems`) where no grammar can see to it: what comes twice is left out.

No grammar remembers what was written. A list of more than a few possible items is therefore written freely, and an item
that it has already is dropped, with its comma, before a client sees it. One item always stays, so that holds where one
is enough; the schema reader refuses the rest (`json_lowering`, and `DistinctPlaces.conflict` for alternatives).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.json_closer import JsonCloser
from gateway.domain.json_flat import canonical

Core = Mapping[str, Any]
Place = tuple[Core, ...]
"""The objects and arrays that a value may be one of, references and alternatives written out."""

DISTINCT = "$comment"
"""Marks an array of a core, with the JSON pointer of the keyword: an annotation that engines know and skip."""

_MOST_PLACES = 2_000
_PLAIN = re.compile(r'[^"\\]*')
_BETWEEN = " \t\r\n,"


class DistinctPlaces:
    """Where in the values of a core the lists are that repeat nothing."""

    def __init__(self, core: Core) -> None:
        self._definitions: Mapping[str, Core] = core.get("$defs", {})
        self._listed: dict[int, Place] = {}
        self.root: Place = self._place([core])

    def items(self, place: Place) -> Place:
        """What an item of a list here may be."""
        arrays = [core for core in place if core["type"] == "array"]
        return self._place(part for core in arrays for part in (*core.get("prefixItems", ()), core.get("items", {})))

    def member(self, place: Place, name: str) -> Place:
        """What the property of this name may be in an object here."""
        objects = [core for core in place if core["type"] == "object"]
        return self._place(part for core in objects for part in _named(core, name))

    def conflict(self) -> str | None:
        """The pointer of a uniqueItems that alternatives keep from being held; None where all can be."""
        found = list(self._reached())
        unheld = found if len(found) == _MOST_PLACES else [place for place in found if not all(map(_droppable, place))]
        return next((core[DISTINCT] for place in unheld for core in place if DISTINCT in core), None)

    def _reached(self) -> Iterator[Place]:
        waiting, seen = [self.root], {_key(self.root)}
        while waiting and len(seen) < _MOST_PLACES:
            place = waiting.pop()
            yield place
            names = {name for core in place for name in core.get("properties", ())}
            for after in (self.items(place), *(self.member(place, name) for name in names), self.member(place, "")):
                if after and _key(after) not in seen:
                    seen.add(_key(after))
                    waiting.append(after)

    def _place(self, parts: Iterable[Core]) -> Place:
        return tuple({id(plain): plain for part in parts for plain in self._plain(part)}.values())

    def _plain(self, core: Core) -> Iterator[Core]:
        if "$ref" in core:
            yield from self._plain(self._definitions[core["$ref"].removeprefix("#/$defs/")])
        elif "anyOf" in core:
            for branch in core["anyOf"]:
                yield from self._plain(branch)
        elif "enum" in core:
            if id(core) not in self._listed:  # kept, so that the same place has the same parts
                values = [value for value in core["enum"] if isinstance(value, list | dict)]
                self._listed[id(core)] = tuple(map(_as_core, values))
            yield from self._listed[id(core)]
        elif core.get("type") in ("object", "array"):
            yield core


def distinct_places(core: Core) -> DistinctPlaces | None:
    """The places of a core's lists that repeat nothing; None where it has none."""
    parts = [core]
    while parts:
        part = parts.pop()
        if DISTINCT in part:
            return DistinctPlaces(core)
        parts += _parts(part)
    return None


def is_distinct(place: Place) -> bool:
    """Whether a list here may have to repeat nothing."""
    return any(DISTINCT in core for core in place)


@dataclass(slots=True)
class _Container:
    """An object or a list that is open; of an object, the key that was read last."""

    place: Place
    is_object: bool
    at_key: bool = False
    key: str = ""


@dataclass(slots=True)
class _List:
    """A list that repeats nothing: what of it is held back, and what it has already."""

    place: Place
    between: str = ""
    raw: str = ""
    item: JsonCloser | None = None
    seen: set[str] = field(default_factory=set)


class DistinctItems:
    """A JSON text that comes in pieces, without what its lists repeat.

    An item of such a list is held back until it is whole; all other text passes as it comes.
    """

    def __init__(self, places: DistinctPlaces, place: Place | None = None) -> None:
        self._places = places
        self._next = places.root if place is None else place
        self._open: list[_Container] = []
        self._in_quotes = self._escaped = False
        self._list: _List | None = None
        self._broken = False

    def feed(self, text: str) -> str:
        """What of the text so far can be shown."""
        shown: list[str] = []
        position = 0
        while position < len(text) and not self._broken:
            if self._list is not None:
                position = self._in_list(self._list, text, position, shown)
                continue
            start = position
            if self._in_quotes:
                position = self._in_string(text, position)
            else:
                self._structural(text[position])
                position += 1
            shown.append(text[start:position])
        return "".join(shown) + text[position:]

    def finish(self) -> str:
        """What was held back when the text ended: the beginning of an item."""
        held, self._list = self._list, None
        return held.between + held.raw if held is not None and held.raw else ""

    def _structural(self, char: str) -> None:
        inner = self._open[-1] if self._open else None
        if char == '"':
            self._in_quotes = True
            if inner is not None and inner.at_key:
                inner.key = ""
        elif char == "{":
            self._open.append(_Container(self._next, is_object=True, at_key=True))
        elif char == "[" and is_distinct(self._next):
            self._list = _List(self._places.items(self._next))
        elif char == "[":
            self._open.append(_Container(self._next, is_object=False))
            self._next = self._places.items(self._next)
        elif inner is not None and char == ":":
            inner.at_key = False
            self._next = self._places.member(inner.place, inner.key)
        elif inner is not None and char == ",":
            inner.at_key = inner.is_object
            self._next = () if inner.is_object else self._places.items(inner.place)
        elif inner is not None and char in "}]":
            self._open.pop()

    def _in_string(self, text: str, position: int) -> int:
        """Where the string ends, or the text; the string is kept where it is a key."""
        end = position
        while end < len(text) and (self._escaped or text[end] != '"'):
            if self._escaped or text[end] == "\\":
                self._escaped = not self._escaped
                end += 1
            else:
                end = _PLAIN.match(text, end).end()  # type: ignore[union-attr]  # matches nothing at worst
        inner = self._open[-1] if self._open else None
        if inner is not None and inner.at_key:
            inner.key += text[position:end]
        if end == len(text):
            return end
        self._in_quotes = False
        if inner is not None and inner.at_key:
            inner.key = _unescaped(inner.key)
        return end + 1

    def _in_list(self, held: _List, text: str, position: int, shown: list[str]) -> int:
        """Goes on with the list: blanks and commas are kept for the next item that stays."""
        if held.item is None:
            if text[position] in _BETWEEN:
                held.between += text[position]
                return position + 1
            if text[position] == "]":
                shown.append(held.between + "]")
                self._list = None
                return position + 1
            held.item = JsonCloser("value")
        taken = held.item.take(text[position:])
        held.raw += text[position : position + taken]
        position += taken
        if held.item.broken:  # an engine that did not hold the grammar: nothing is left out of what is no JSON
            shown.append(held.between + held.raw)
            self._broken = True
        # a number ends with what comes behind it
        elif held.item.complete and (position < len(text) or not held.raw[-1].isdigit()):
            item = DistinctItems(self._places, held.place).feed(held.raw)
            if (value := _value(item)) not in held.seen:
                held.seen.add(value)
                shown.append(held.between + item)
            held.item, held.between, held.raw = None, "", ""
        return position


def _value(item: str) -> str:
    """A text that is the same for equal items."""
    try:
        return canonical(json.loads(item))
    except (ValueError, RecursionError):  # more digits or levels than Python reads
        return item


def _unescaped(key: str) -> str:
    try:
        return str(json.loads(f'"{key}"'))
    except ValueError:
        return key


def _named(core: Core, name: str) -> Iterator[Core]:
    """The cores of an object's property of this name; a map's keys may match any of its patterns."""
    if "properties" in core:
        if name in core["properties"]:
            yield core["properties"][name]
        return
    yield from core.get("patternProperties", {}).values()
    if isinstance(core.get("additionalProperties"), Mapping):
        yield core["additionalProperties"]


def _parts(core: Core) -> list[Core]:
    parts: list[Any] = [core.get("items"), core.get("additionalProperties")]
    parts += [*core.get("anyOf", ()), *core.get("prefixItems", ())]
    for key in ("properties", "patternProperties", "$defs"):
        parts += core.get(key, {}).values()
    return [part for part in parts if isinstance(part, Mapping)]


def _as_core(value: list[Any] | dict[str, Any]) -> Core:
    """A listed value as the object or the array that has only this value."""
    if isinstance(value, list):
        return {"type": "array", "items": {"enum": value}, "minItems": len(value)}
    return {"type": "object", "properties": {name: {"enum": [part]} for name, part in value.items()}}


def _droppable(core: Core) -> bool:
    """Whether a list stays valid without some of its items."""
    return core["type"] != "array" or (core.get("minItems", 0) <= 1 and not core.get("prefixItems"))


def _key(place: Place) -> tuple[int, ...]:
    return tuple(sorted(map(id, place)))
