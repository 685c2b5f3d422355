"""What a client is shown of a JSON text that an engine wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.domain.json_distinct import distinct_places
from gateway.domain.shaping import JsonShaper


def shown(core: Mapping[str, Any], text: str, *, size: int | None = None) -> str:
    """The content of a whole answer under this core, of a text that came in pieces of this size."""
    distinct = distinct_places(core)
    if distinct is None:
        return text
    shaper = JsonShaper("value", distinct=distinct)
    size = size or len(text) or 1
    deltas = [delta for start in range(0, len(text), size) for delta in shaper.feed(text[start : start + size])]
    return "".join(delta["content"] for delta in deltas + shaper.finish("stop")[0])
