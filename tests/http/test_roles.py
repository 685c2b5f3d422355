"""Every conversation that a client may legally send is answered by a model whose template wants strict turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.llama import LlamaEngine
from tests.http.asking import Asker
from tests.support.real_engine import serve_model
from tests.support.scripted_engine import ScriptedEngine
from tests.support.stack import Stack

Message = dict[str, Any]


def said(role: str, content: Any, **fields: Any) -> Message:
    return {"role": role, "content": content, **fields}


def call(id_: str, arguments: str = '{"city": "Oslo"}') -> Message:
    return {"id": id_, "type": "function", "function": {"name": "weather", "arguments": arguments}}


USER, ANSWER, RULE = said("user", "Hello."), said("assistant", "Hi."), said("system", "Be brief.")
RESULT = said("tool", "Rain.", tool_call_id="c1")
TEXT = {"type": "text", "text": "Rain."}

CONVERSATIONS: dict[str, list[Message]] = {
    "system in the middle": [USER, ANSWER, RULE, USER],
    "system at the end": [USER, RULE],
    "several systems first": [RULE, said("developer", "Be kind."), RULE, USER],
    "systems only": [RULE, RULE],
    "developer first": [said("developer", "Be kind."), USER],
    "developer in the middle": [RULE, USER, ANSWER, said("developer", "Now in French."), USER],
    "developer only": [said("developer", "Say hello.")],
    "consecutive users": [USER, USER, USER],
    "consecutive assistants": [USER, ANSWER, ANSWER, USER],
    "assistant first": [ANSWER, USER],
    "assistant last": [USER, ANSWER],
    "assistant only": [ANSWER],
    "system then assistant": [RULE, ANSWER, USER],
    "null content beside calls": [USER, said("assistant", None, tool_calls=[call("c1")]), RESULT],
    "empty content beside calls": [USER, said("assistant", "", tool_calls=[call("c1")]), RESULT, USER],
    "text beside calls": [USER, said("assistant", "Let me see.", tool_calls=[call("c1")]), RESULT],
    "no content beside calls": [USER, {"role": "assistant", "tool_calls": [call("c1")]}, RESULT],
    "two calls, two results": [
        USER,
        said("assistant", None, tool_calls=[call("c1"), call("c2", "")]),
        RESULT,
        said("tool", "Sun.", tool_call_id="c2"),
    ],
    "calls without results": [USER, said("assistant", None, tool_calls=[call("c1")])],
    "calls of broken arguments": [USER, said("assistant", None, tool_calls=[call("c1", "{oops")]), RESULT],
    "an empty list of calls": [USER, said("assistant", "Hi.", tool_calls=[]), USER],
    "a result of no call": [USER, RESULT],
    "a result in parts": [USER, said("assistant", None, tool_calls=[call("c1")]), {**RESULT, "content": [TEXT, TEXT]}],
    "an empty result": [USER, said("assistant", None, tool_calls=[call("c1")]), {**RESULT, "content": ""}],
    "content in parts": [said("system", [TEXT]), said("user", [TEXT, TEXT]), said("assistant", [TEXT]), USER],
    "no parts": [said("user", [])],
    "empty texts": [said("system", ""), said("user", ""), said("assistant", ""), said("user", "")],
    "a refusal": [USER, said("assistant", None, refusal="I can't."), USER],
    "a refusal as a part": [USER, said("assistant", [{"type": "refusal", "refusal": "No."}]), USER],
    "names": [said("user", "Hello.", name="Ada"), said("assistant", "Hi.", name="Bob"), USER],
}

ILLEGAL: dict[str, tuple[Any, str]] = {
    "no messages": ([], "messages"),
    "a text": (["hi"], "messages[0]"),
    "no role": ([{"content": "hi"}], "messages[0].role"),
    "an unknown role": ([USER, said("robot", "hi")], "messages[1].role"),
    "no content": ([{"role": "user"}], "messages[0].content"),
    "null content without calls": ([USER, said("assistant", None)], "messages[1].content"),
    "an unknown part": ([said("user", [{"type": "video"}])], "messages[0].content[0].type"),
    "a part without text": ([said("user", [TEXT, {"type": "text"}])], "messages[0].content[1].text"),
    "a result without its call": ([USER, said("tool", "x")], "messages[1].tool_call_id"),
    "a call without arguments": (
        [USER, said("assistant", None, tool_calls=[{"id": "c", "type": "function", "function": {"name": "f"}}])],
        "messages[1].tool_calls[0].function.arguments",
    ),
    "an image for a model that does not see": (
        [said("user", [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}])],
        "messages[0].content[0]",
    ),
}


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with serve_model() as url:
        yield url


@pytest.mark.model
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_legal_conversation_is_answered(stack: Stack, ask: Asker, model: str, name: str) -> None:
    stack.engine.engine = LlamaEngine(model)
    response = ask(messages=CONVERSATIONS[name], max_tokens=2)
    assert response.status == 200, response.body
    assert response.json()["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("name", ILLEGAL)
def test_an_illegal_one_is_a_400_with_its_path(ask: Asker, engine: ScriptedEngine, name: str) -> None:
    messages, param = ILLEGAL[name]
    response = ask(messages=messages)
    assert (response.status, response.error["param"]) == (400, param), response.body
    assert engine.bodies == []
