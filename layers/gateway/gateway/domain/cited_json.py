"""A JSON answer made of search results, on its way out: its strings hold no link that the search did not find.

Outside its strings the text leaves as it is, so it stays the JSON that it was. Each string, names of members too, goes
through the rules of `citations` by itself: what a client shows of it can't be a link or an image of a stranger's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.domain.citations import CitedText
from gateway.domain.search import ImageResult, WebResult

_PLAIN = re.compile(r'[^"\\]+')
_ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|(["\\/bfnrt]))')
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPED = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')


class CitedJson:
    """The transformer for one JSON text, whole or closed: `feed` each piece, `close` at the end."""

    def __init__(self, results: Sequence[WebResult], images: Sequence[ImageResult] = ()) -> None:
        self._results = results
        self._images = images
        self._string: CitedText | None = None
        self._held = ""
        self._high = ""

    def feed(self, text: str) -> str:
        """What may leave now. `text` may be cut anywhere, inside an escape too."""
        self._held += text
        out: list[str] = []
        while self._held:
            step = self._outside() if self._string is None else self._inside(self._string)
            if step is None:
                break
            out.append(step)
        return "".join(out)

    def close(self) -> str:
        """What was still held, where the text ended inside a string."""
        string, self._string = self._string, None
        rest = "" if string is None else _escaped(string.feed(self._take_high()) + string.close())
        held, self._held = self._held, ""
        return rest + held

    def _outside(self) -> str:
        before, quote, self._held = self._held.partition('"')
        if quote:
            self._string = CitedText(self._results, self._images)
        return before + quote

    def _inside(self, string: CitedText) -> str | None:
        """What the next part of the string lets leave; None where more text must tell what it is."""
        if plain := _PLAIN.match(self._held):
            self._held = self._held[plain.end() :]
            return _escaped(string.feed(self._take_high() + plain[0]))
        if self._held[0] == '"':
            self._held = self._held[1:]
            self._string = None
            return _escaped(string.feed(self._take_high()) + string.close()) + '"'
        escape = _ESCAPE.match(self._held)
        if escape is None:
            return None
        self._held = self._held[escape.end() :]
        character = chr(int(escape[1], 16)) if escape[1] else _SHORT.get(escape[2], escape[2])
        return _escaped(string.feed(self._joined(character)))

    def _joined(self, character: str) -> str:
        """The character with the half of a pair before it; a first half is kept until its second is there."""
        high = self._take_high()
        if "\ud800" <= character <= "\udbff":
            self._high = character
            return high
        return (high + character).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")

    def _take_high(self) -> str:
        high, self._high = self._high, ""
        return high


def _escaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], text)


def with_found_urls(schema: Any, urls: Sequence[str]) -> Any:
    """The schema with these URLs as the only values of its `format: uri` strings, so that none is invented."""
    if isinstance(schema, list):
        return [with_found_urls(one, urls) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    bound = {name: value if name in _AS_WRITTEN else with_found_urls(value, urls) for name, value in schema.items()}
    kinds = schema.get("type")
    listed = kinds if isinstance(kinds, list) else [kinds]
    if schema.get("format") != "uri" or "string" not in listed or _AS_WRITTEN & schema.keys():
        return bound
    return {**bound, "enum": [*urls, *([None] if "null" in listed else [])]}


_AS_WRITTEN = frozenset({"const", "enum", "not"})
