"""Tools over HTTP: emulated on the real model, native on an engine that plays one, and the streams as files."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from gateway.config import Settings

from tests.http.asking import Asker
from tests.support.catalogue_gateway import CatalogueGateway
from tests.support.engine_pieces import whole
from tests.support.golden_streams import NAMES, accumulated, engine_pieces, levelled, read_golden
from tests.support.hand_engine import HandEngine
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.sse_reader import DONE, read_events
from tests.support.stack import SECOND_MODEL, OpenedAccount, Stack, borrowed_environment

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
CLOCK = {"type": "object", "properties": {"zone": {"enum": ["UTC", "CET"]}}, "required": ["zone"]}
SCHEMAS: dict[str, Any] = {"forecast": CITY, "clock": CLOCK}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in SCHEMAS.items()]
QUESTION = [{"role": "user", "content": "How is the weather in Oslo, and what time is it?"}]
NAMED = {"type": "function", "function": {"name": "clock"}}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "12:00"}


def serve_native(stack: Stack, dialect: str) -> int:
    """A chat application whose catalogue says that the second model has tools of its own."""
    stack.run(stack.gateway.lines.describe(SECOND_MODEL, status="ready", copies=1, slots=4))
    settings = Settings.from_environment(stack.environment)
    gateway = CatalogueGateway(settings, SECOND_MODEL, native_tools=True, dialect=dialect)
    with borrowed_environment(stack.environment):
        gateway.warm_up()
    return stack.serve(gateway.chat_app()).port


@pytest.fixture(scope="module")
def llama_port(stack: Stack) -> int:
    return serve_native(stack, "llama.cpp")


@pytest.fixture(scope="module")
def vllm_port(stack: Stack) -> int:
    return serve_native(stack, "vllm")


@pytest.fixture(params=["llama", "vllm"])
def native_port(request: pytest.FixtureRequest, llama_port: int, vllm_port: int) -> int:
    return llama_port if request.param == "llama" else vllm_port


@pytest.fixture
def native(native_port: int, account: OpenedAccount) -> Asker:
    return Asker(native_port, account.authorization)


@pytest.fixture
def native_engine(stack: Stack) -> ScriptedEngine:
    engine = ScriptedEngine([Script(pieces=engine_pieces(read_golden("native_calls")))])
    stack.second_engine.engine = engine
    return engine


def message_of(ask: Asker, *, stream: bool, **fields: Any) -> tuple[dict[str, Any], str]:
    """Message and finish reason of an answer; a stream's as the `openai` client adds it up."""
    asked: dict[str, Any] = {"messages": QUESTION, "tools": TOOLS, **fields}
    if stream:
        response, chunks = ask.stream(**asked)
        assert response.status == 200
        *events, done = read_events(chunks)
        assert done == DONE
        choice = accumulated(events).choices[0]
        return choice.message.model_dump(exclude_none=True), choice.finish_reason
    response = ask(**asked)
    assert response.status == 200, response.body
    (whole_choice,) = response.json()["choices"]
    return whole_choice["message"], whole_choice["finish_reason"]


def checked_calls(message: dict[str, Any]) -> list[str]:
    """The names of the calls of a message, whose arguments all validate."""
    calls = message.get("tool_calls") or []
    for call in calls:
        jsonschema.validate(json.loads(call["function"]["arguments"]), SCHEMAS[call["function"]["name"]])
    assert len({call["id"] for call in calls}) == len(calls)
    assert not calls or not message.get("content")
    return [call["function"]["name"] for call in calls]


@pytest.mark.parametrize("name", NAMES)
def test_the_golden_streams_hold_and_openai_s_client_reads_them(
    llama_port: int, account: OpenedAccount, stack: Stack, name: str
) -> None:
    golden = read_golden(name)
    stack.engine.engine = stack.second_engine.engine = ScriptedEngine(
        [Script(pieces=engine_pieces(golden), part_sizes=(7, 64))]
    )

    _, chunks = Asker(llama_port, account.authorization).stream(model=golden["model"], **golden["request"])

    events = read_events(chunks)
    assert levelled(events) == golden["client"]
    choice = accumulated(events[:-1]).choices[0]
    assert choice.finish_reason == golden["finish_reason"]
    for call in choice.message.tool_calls or []:
        assert call.type == "function"
        assert isinstance(json.loads(call.function.arguments), dict)


@pytest.mark.model
@pytest.mark.parametrize("stream", [False, True])
def test_none_never_calls(real: Asker, stream: bool) -> None:
    message, reason = message_of(real, stream=stream, tool_choice="none", max_tokens=12)
    assert "tool_calls" not in message
    assert isinstance(message["content"], str)
    assert reason in ("stop", "length")


@pytest.mark.model
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_auto_answers_with_text_or_with_calls_never_both(real: Asker, seed: int) -> None:
    message, reason = message_of(real, stream=bool(seed % 2), seed=seed, temperature=1.3, max_tokens=150)
    calls = checked_calls(message) if reason != "length" else []
    assert (reason == "tool_calls") == bool(calls)
    assert calls or reason == "length" or message["content"]


@pytest.mark.model
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("parallel", [False, True])
def test_required_always_calls_and_one_at_a_time_where_told_so(real: Asker, stream: bool, parallel: bool) -> None:
    message, reason = message_of(
        real,
        stream=stream,
        tool_choice="required",
        parallel_tool_calls=parallel,
        seed=4,
        temperature=0.3,
        max_tokens=250,
    )
    calls = checked_calls(message)
    assert reason == "tool_calls"
    assert len(calls) == 1 if not parallel else calls


@pytest.mark.model
def test_a_named_tool_is_the_only_one_that_is_called(real: Asker) -> None:
    message, reason = message_of(
        real, stream=True, tool_choice=NAMED, parallel_tool_calls=False, temperature=1.5, max_tokens=60
    )
    assert (checked_calls(message), reason) == (["clock"], "tool_calls")


@pytest.mark.model
@pytest.mark.parametrize("limit", [1, 8, 14, 18, 22])
def test_a_call_that_max_tokens_cuts_has_arguments_that_parse_and_says_length(real: Asker, limit: int) -> None:
    asked = {"tool_choice": "required", "parallel_tool_calls": False, "temperature": 0, "max_tokens": limit}
    for stream in (False, True):
        message, reason = message_of(
            real, stream=stream, **asked, tools=TOOLS[:1], messages=[{"role": "user", "content": "Oslo, 12345678 days"}]
        )
        assert reason == "length"
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)


@pytest.mark.model
def test_a_conversation_with_calls_and_their_results_is_answered(real: Asker) -> None:
    message, _ = message_of(real, stream=False, messages=[*QUESTION, CALLED, RESULT], max_tokens=60)
    assert message["role"] == "assistant"


def test_native_tools_reach_the_engine_in_its_own_fields(native: Asker, native_engine: ScriptedEngine) -> None:
    response = native(model=SECOND_MODEL, messages=[*QUESTION, CALLED, RESULT], tools=TOOLS, tool_choice=NAMED)
    assert response.status == 200
    body = json.loads(native_engine.bodies[0])
    assert [tool["function"]["name"] for tool in body["tools"]] == ["clock"]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", True)
    assert not {"grammar", "response_format"} & body.keys()
    _, called, result = body["messages"]
    assert (called["tool_calls"], called["content"]) == (CALLED["tool_calls"], "")
    assert result == RESULT


@pytest.mark.parametrize("stream", [False, True])
def test_the_engine_s_own_calls_come_through(native: Asker, native_engine: ScriptedEngine, stream: bool) -> None:
    message, reason = message_of(native, stream=stream, model=SECOND_MODEL)
    calls = [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in message["tool_calls"]]
    assert calls == [("abc1", "forecast", '{"city": "Oslo", "days": 2}'), ("abc2", "clock", "{}")]
    assert reason == "tool_calls"


def test_native_tools_that_must_not_be_called_are_not_shown(native: Asker, native_engine: ScriptedEngine) -> None:
    native_engine.scripts = [Script(pieces=whole("No."))]
    message, reason = message_of(native, stream=False, model=SECOND_MODEL, tool_choice="none")
    assert (message["content"], reason) == ("No.", "stop")
    assert "tools" not in json.loads(native_engine.bodies[0])


def test_native_tools_hold_quota_for_what_they_add_to_the_prompt(
    stack: Stack, account: OpenedAccount, native: Asker
) -> None:
    described = "A clock of great precision. " * 400
    tools = [{"type": "function", "function": {"name": "clock", "description": described, "parameters": CLOCK}}]
    held = []
    extras: list[dict[str, Any]] = [{}, {"tools": tools}]
    for extra in extras:
        stack.second_engine.engine = by_hand = HandEngine()
        with native.open_stream(model=SECOND_MODEL, max_tokens=10, **extra) as connection:
            call = by_hand.call(0)
            held.append(stack.account_of(account).reserved_tokens)
            call.give(*whole("Hi"))
            call.end()
            assert connection.read_head()[0] == 200
            connection.read_chunks()
    assert held[1] - held[0] > len(described) / 4


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "x", "parameters": {"not": {"minLength": 1}}}}]},
         "tools[0].function.parameters"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "other"}}},
         "tool_choice.function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "response_format": "json"}, "response_format"),
        ({"tools": TOOLS, "logprobs": True}, "logprobs"),
        ({"functions": [{"name": "x"}]}, "functions"),
    ],
)  # fmt: skip
def test_what_can_not_be_served_is_a_400_that_names_its_field(
    ask: Asker, stack: Stack, account: OpenedAccount, engine: ScriptedEngine, fields: dict[str, Any], param: str
) -> None:
    response = ask(**fields)
    assert (response.status, response.error["param"]) == (400, param)
    assert engine.bodies == []
    assert stack.account_of(account).requests_this_minute == 0
