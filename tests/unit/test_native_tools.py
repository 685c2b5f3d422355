"""Native tools: what an engine is told, how its calls come through, and how its conversation is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from gateway.domain.engine import CallPiece, parse_chunk
from gateway.domain.errors import ServerError
from gateway.domain.logprobs import told_logprobs
from gateway.domain.native_tools import NativeToolShaper
from gateway.domain.prompt import fold_messages
from hypothesis import given
from hypothesis import strategies as st

from tests.support.accounts import new_model
from tests.support.deltas import fold

MODEL = replace(new_model("m"), native_tools=True)
ARGUMENTS = '{"city": "Malm\\u00f6", "days": [1, 2]}'


def shaper() -> NativeToolShaper:
    numbers = iter(range(9))
    return NativeToolShaper(lambda: f"call_{next(numbers)}")


@given(cut=st.integers(0, len(ARGUMENTS)), size=st.integers(1, 9))
def test_arguments_that_are_cut_are_closed_and_say_length(cut: int, size: int) -> None:
    native, text = shaper(), ARGUMENTS[:cut]
    deltas = native.feed_calls([CallPiece(0, "c", "f", "")])
    for start in range(0, len(text), size):
        deltas += native.feed_calls([CallPiece(0, None, None, text[start : start + size])])
    last, reason = native.finish("length")
    (call,) = fold(deltas + last)["tool_calls"]
    assert isinstance(json.loads(call["function"]["arguments"]), dict)
    assert reason == "length"


def test_a_call_of_no_arguments_has_an_empty_object_and_is_whole() -> None:
    native = shaper()
    deltas = native.feed_calls([CallPiece(0, None, "f", "")])
    last, reason = native.finish("stop")
    (call,) = fold(deltas + last)["tool_calls"]
    assert (call["id"], call["function"]["arguments"], reason) == ("call_0", "{}", "tool_calls")


def test_pieces_of_a_call_without_a_name_and_reasons_without_a_call_tell_nothing() -> None:
    native = shaper()
    assert native.feed_calls([CallPiece(0, "c", None, "{}")]) == []
    assert native.finish("tool_calls") == ([], "stop")


@pytest.mark.parametrize("call", [{"index": "0"}, {"function": {"arguments": {}, "name": "f"}}, 7, {"function": [1]}])
def test_calls_that_are_none_break_the_stream(call: Any) -> None:
    with pytest.raises(ServerError) as caught:
        parse_chunk(json.dumps({"choices": [{"delta": {"tool_calls": [call]}}]}).encode())
    assert caught.value.reason == "stream_broken"


def called(*ids: str, content: Any = None, arguments: str = "{}") -> dict[str, Any]:
    calls = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": arguments}} for id_ in ids]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def result(id_: str, content: str = "R") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_calls_and_results_stay_messages_of_their_own() -> None:
    folded = fold_messages([user("a"), called("1", "2"), result("1"), result("2"), user("b"), user("c")], model=MODEL)
    assert [message["role"] for message in folded] == ["user", "assistant", "tool", "tool", "user"]
    assert [call["id"] for call in folded[1]["tool_calls"]] == ["1", "2"]
    assert [message.get("tool_call_id") for message in folded[2:4]] == ["1", "2"]
    assert folded[4]["content"] == "b\n\nc"


def test_text_before_calls_is_of_the_same_message_and_text_behind_them_is_not() -> None:
    answer = {"role": "assistant", "content": "x"}
    folded = fold_messages([user("a"), answer, called("1", content="y"), answer, user("b")], model=MODEL)
    assert [(message["role"], message["content"]) for message in folded] == [
        ("user", "a"),
        ("assistant", "x\n\ny"),
        ("assistant", "x"),
        ("user", "b"),
    ]


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [("", {}), ('{"a": 1}', {"a": 1}), ("{oops", {"arguments": "{oops"}), ("[1]", {"arguments": "[1]"})],
)
def test_earlier_arguments_are_always_an_object_to_the_template(arguments: str, kept: Any) -> None:
    folded = fold_messages([user("a"), called("1", arguments=arguments), result("1")], model=MODEL)
    assert json.loads(folded[1]["tool_calls"][0]["function"]["arguments"]) == kept


def test_logprobs_lose_what_openai_does_not_know_and_alternatives_that_nobody_asked_for() -> None:
    token = {"id": 5, "token": "a", "logprob": -0.5, "bytes": [97]}
    told = told_logprobs({"content": [{**token, "top_logprobs": [token, token]}]}, alternatives=1)
    plain = {"token": "a", "logprob": -0.5, "bytes": [97]}
    assert told == {"content": [{**plain, "top_logprobs": [plain]}]}
