"""Streams that a person reads in review: `tests/golden/http/*.json`, with what differs from run to run levelled."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.support.engine_pieces import DONE, event

GOLDEN = Path(__file__).parents[1] / "golden" / "http"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json"))

_CALL_ID = re.compile(r'"(call_[A-Za-z0-9]{24})"')


def read_golden(name: str) -> dict[str, Any]:
    """A golden stream: `model`, the `request`'s fields, the `engine`'s chunks, the `client`'s events."""
    golden: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    return golden


def engine_pieces(golden: dict[str, Any]) -> list[bytes]:
    """The engine's chunks as it sends them."""
    return [*(event(chunk) for chunk in golden["engine"]), DONE]


def levelled(events: Sequence[Any]) -> list[Any]:
    """Events without the fields that are the same on each, and with calls' ids numbered."""
    text = json.dumps([_without_head(event) for event in events])
    for number, id_ in enumerate(dict.fromkeys(_CALL_ID.findall(text))):
        text = text.replace(id_, f"call_{number}")
    changed: list[Any] = json.loads(text)
    return changed


def accumulated(events: Sequence[Any]) -> ChatCompletion:
    """What the `openai` client makes of the chunks."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in events:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    return state.current_completion_snapshot


def _without_head(event: Any) -> Any:
    if not isinstance(event, dict):
        return event
    return {name: value for name, value in event.items() if name not in ("id", "object", "created", "model")}
