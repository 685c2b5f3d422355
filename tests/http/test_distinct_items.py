"""A list that may repeat nothing reaches a client without what the model wrote twice: in answers and in calls."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from tests.http.asking import Asker
from tests.support.engine_pieces import whole
from tests.support.golden_streams import accumulated
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.sse_reader import read_events

TAGS = {
    "type": "object",
    "properties": {"tags": {"type": "array", "items": {"type": "string", "maxLength": 2}, "uniqueItems": True}},
    "required": ["tags"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "tags", "schema": TAGS}}
TOOL = {"type": "function", "function": {"name": "tag", "parameters": TAGS}}
TWICE = '{"tags": ["a", "b", "a", "c"]}'
ONCE = '{"tags": ["a", "b", "c"]}'


def message_of(ask: Asker, *, stream: bool, **fields: Any) -> Any:
    """The message as OpenAI's client would have it, and its finish reason."""
    if stream:
        (choice,) = accumulated(read_events(ask.stream(**fields)[1])[:-1]).choices
        return choice.message.model_dump(), choice.finish_reason
    response = ask(**fields)
    assert response.status == 200, response.body
    (choice,) = response.json()["choices"]
    return choice["message"], choice["finish_reason"]


def split(text: str, size: int) -> list[bytes]:
    return whole(*(text[start : start + size] for start in range(0, len(text), size)))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [1, 3, 50])
def test_an_answer_has_nothing_twice(ask: Asker, engine: ScriptedEngine, size: int, stream: bool) -> None:
    engine.scripts = [Script(pieces=split(TWICE, size))]
    message, reason = message_of(ask, stream=stream, response_format=FORM)
    assert (message["content"], reason) == (ONCE, "stop")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [1, 3, 50])
def test_a_call_has_nothing_twice(ask: Asker, engine: ScriptedEngine, size: int, stream: bool) -> None:
    engine.scripts = [Script(pieces=split(f'{{"tool": "tag", "arguments": {TWICE}}}', size))]
    message, reason = message_of(ask, stream=stream, tools=[TOOL], tool_choice="required")
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == [ONCE]
    assert reason == "tool_calls"


@pytest.mark.model
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_real_model_writes_holds_too(real: Asker, stream: bool) -> None:
    # so few items are possible that a model of this size repeats some
    items = {"type": "string", "pattern": "^[ab]?$"}
    schema = {"type": "array", "items": items, "uniqueItems": True, "minItems": 1, "maxItems": 9}
    message, reason = message_of(
        real, stream=stream, response_format={"type": "json", "schema": schema}, max_tokens=120, temperature=1.2, seed=3
    )
    assert reason == "stop"
    jsonschema.validate(json.loads(message["content"]), schema)
