"""From the engine's text to the deltas that a client sees.

A shaper gets the text piece by piece and answers with deltas in OpenAI's shape, each of them
`{"content": …}` or `{"tool_calls": […]}`. Stop strings are the engine's work: llama.cpp holds back
what may become one across tokens and never emits it (`tests/contract/test_engine_enforces_schemas.py`).
"""

from __future__ import annotations

from typing import Any, Protocol

from gateway.domain.json_closer import JsonCloser, Top
from gateway.domain.json_distinct import DistinctItems, DistinctPlaces

Delta = dict[str, Any]


class Shaper(Protocol):
    """Turns one choice's text into its deltas."""

    def feed(self, text: str) -> list[Delta]:
        """The deltas that this piece makes certain; none of them is empty."""
        ...

    def finish(self, reason: str) -> tuple[list[Delta], str]:
        """The last deltas and the final finish_reason; `reason` is the engine's, `stop` or `length`."""
        ...


class PlainShaper:
    """Text as it comes."""

    def feed(self, text: str) -> list[Delta]:
        return [{"content": text}] if text else []

    def finish(self, reason: str) -> tuple[list[Delta], str]:
        return [], reason


class JsonShaper:
    """JSON text that always parses in the end, wherever it was cut; lists at the `distinct` places repeat nothing."""

    def __init__(self, top: Top = "object", *, distinct: DistinctPlaces | None = None) -> None:
        self._closer = JsonCloser(top)
        self._items = None if distinct is None else DistinctItems(distinct)

    def feed(self, text: str) -> list[Delta]:
        if self._items is not None:
            text = self._items.feed(text)
        self._closer.feed(text)
        return [{"content": text}] if text else []

    def finish(self, reason: str) -> tuple[list[Delta], str]:
        held = self._items.finish() if self._items is not None else ""
        self._closer.feed(held)
        last = held + self._closer.closing()
        return ([{"content": last}] if last else []), reason
