"""Bad bodies: each refusal names the field, what it takes and what came (CONTRACT "Chat request")."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.http.asking import COMPLETIONS, MESSAGES, Asker
from tests.http.test_errors import RATE_LIMITS, assert_error
from tests.support.engine_pieces import whole
from tests.support.http_client import request
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import MODEL, OpenedAccount, Stack

GOOD = json.dumps({"model": MODEL, "messages": MESSAGES})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{'model': 'x'}",
        GOOD.encode() + b"x",
        GOOD[:-1].encode() + b',"temperature":NaN}',
        GOOD[:-1].encode() + b',"temperature":Infinity}',
        GOOD[:-1].encode() + b',"user":"\\ud800"}',
        GOOD[:-1].encode() + b',"user":"\xff"}',
        GOOD[:-1].encode() + b',"temperature":1e999}',
        b"[" * 100_000,
        GOOD[:-1].encode() + b',"metadata":' + b'{"a":' * 100_000,
    ],
)
def test_what_is_no_json_object_is_refused(ask: Asker, engine: ScriptedEngine, body: bytes) -> None:
    response = ask.raw(body)
    assert_error(response, 400, "invalid_request_error")
    assert set(response.headers) >= RATE_LIMITS
    assert len(response.error["message"]) < 500
    assert engine.bodies == []


@pytest.mark.parametrize(
    ("fields", "param", "came"),
    [
        ({"model": 7}, "model", "the number 7"),
        ({"model": ""}, "model", "the string ''"),
        ({"messages": "hi"}, "messages", "the string 'hi'"),
        ({"messages": []}, "messages", "an empty array"),
        ({"messages": [*MESSAGES, "hi"]}, "messages[1]", "the string 'hi'"),
        ({"temperature": "0.5"}, "temperature", "the string '0.5'"),
        ({"temperature": 2.1}, "temperature", "the number 2.1"),
        ({"temperature": -0.1}, "temperature", "the number -0.1"),
        ({"temperature": 1e308}, "temperature", "a number too large"),
        ({"max_tokens": 0}, "max_tokens", "the number 0"),
        ({"max_tokens": 1.5}, "max_tokens", "the number 1.5"),
        ({"max_tokens": True}, "max_tokens", "true"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "the number 0"),
        ({"stream": "yes"}, "stream", "the string 'yes'"),
        ({"stream": 1}, "stream", "the number 1"),
        ({"top_p": 1.1}, "top_p", "the number 1.1"),
        ({"frequency_penalty": -2.1}, "frequency_penalty", "the number -2.1"),
        ({"presence_penalty": 3}, "presence_penalty", "the number 3"),
        ({"stop": []}, "stop", "an empty array"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "an array of 5"),
        ({"stop": ["a", 1]}, "stop[1]", "the number 1"),
        ({"seed": 2**64}, "seed", None),
        ({"seed": "x"}, "seed", "the string 'x'"),
        ({"n": 0}, "n", "the number 0"),
        ({"n": 9}, "n", "the number 9"),
        ({"user": 1}, "user", "the number 1"),
        ({"stream_options": []}, "stream_options", "an empty array"),
        ({"stream_options": {"include_usage": "no"}}, "stream_options.include_usage", "the string 'no'"),
        ({"tools": {}}, "tools", "an object"),
        ({"logprobs": 1}, "logprobs", "the number 1"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "the number 21"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5", "the number 101"),
        ({"metadata": {"a": 1}}, "metadata.a", "the number 1"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "nothing"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "nothing"),
        ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content", "an object"),
        ({"messages": [{"role": "user", "content": [{"type": "x"}]}]}, "messages[0].content[0].type", "the string 'x'"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "nothing"),
        ({"web_search": {}}, "web_search", "an object"),
        ({"web_search_options": True}, "web_search_options", "true"),
        ({"response_format": "xml"}, "response_format", "the string 'xml'"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "nothing"),
        ({"tools": [{}]}, "tools[0].type", "nothing"),
        ({"tool_choice": "x"}, "tool_choice", "the string 'x'"),
    ],
)
def test_a_wrong_field_is_named_with_what_came(
    ask: Asker, engine: ScriptedEngine, fields: dict[str, Any], param: str, came: str | None
) -> None:
    response = ask(**fields)
    assert_error(response, 400, "invalid_request_error")
    assert response.error["param"] == param
    assert f"'{param}' must be " in response.error["message"]
    assert came is None or response.error["message"].endswith(f"got {came}.")
    assert engine.bodies == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metadata": {"a": 1}}, "'metadata.a' must be a string, got the number 1."),
        ({"stop": [""]}, "'stop[0]' must be a string of 1 to 256 characters, got the string ''."),
        ({"logit_bias": {"5": 101}}, "'logit_bias.5' must be a number from -100 to 100, got the number 101."),
        (
            {"stream_options": {"include_usage": 1}},
            "'stream_options.include_usage' must be true or false, got the number 1.",
        ),
    ],
)
def test_an_entry_is_told_what_an_entry_takes_and_not_what_its_field_does(
    ask: Asker, fields: dict[str, Any], message: str
) -> None:
    assert ask(**fields).error["message"] == message


@pytest.mark.parametrize("name", ["model", "messages"])
@pytest.mark.parametrize("value", ["absent", None])
def test_a_required_field_is_missed_by_its_name(ask: Asker, name: str, value: str | None) -> None:
    fields = {"model": MODEL, "messages": MESSAGES, name: value}
    if value == "absent":
        del fields[name]
    response = ask.raw(json.dumps(fields).encode())
    assert_error(response, 400, "invalid_request_error")
    assert response.error["param"] == name


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["audio"]}, "modalities"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(ask: Asker, fields: dict[str, Any], param: str) -> None:
    response = ask(**fields)
    assert_error(response, 400, "invalid_request_error", reason="unsupported_parameter")
    assert response.error["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt[1]"),
        ({"prompt": [1, 2]}, "prompt[0]"),
        ({"prompt": "a", "echo": True}, "echo"),
        ({"prompt": "a", "suffix": "z"}, "suffix"),
        ({"prompt": "a", "best_of": 3}, "best_of"),
        ({}, "prompt"),
    ],
)
def test_a_wrong_field_of_a_text_completion_is_named(ask: Asker, fields: dict[str, Any], param: str) -> None:
    response = ask.raw(json.dumps({"model": MODEL, **fields}).encode(), path=COMPLETIONS)
    assert response.status == 400
    assert response.error["param"] == param


def test_of_a_key_that_comes_twice_the_last_counts(ask: Asker, engine: ScriptedEngine) -> None:
    body = GOOD[:-1].encode() + b',"temperature":1.5,"temperature":0.5}'
    assert ask.raw(body).status == 200
    assert json.loads(engine.bodies[0])["temperature"] == 0.5


def test_a_whole_number_is_an_integer_however_it_is_written(ask: Asker, engine: ScriptedEngine) -> None:
    body = GOOD[:-1].encode() + b',"n":2.0,"max_tokens":7e1,"seed":5.0,"top_k":3.0}'
    assert len(ask.raw(body).json()["choices"]) == 2
    sent = json.loads(engine.bodies[0])
    assert (sent["max_tokens"], sent["seed"], sent["top_k"]) == (70, 5, 3)
    assert b".0" not in engine.bodies[0].partition(b'"max_tokens"')[2]


def test_optional_nulls_are_as_absent(ask: Asker, engine: ScriptedEngine) -> None:
    names = ["temperature", "max_tokens", "stream", "top_p", "stop", "seed", "n", "tools", "response_format", "user"]
    nulls: dict[str, Any] = dict.fromkeys(names)
    response = ask(**nulls)
    assert response.status == 200
    sent = json.loads(engine.bodies[0])
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0.7, 1.0, 1000)
    assert "x-ignored-params" not in response.headers


def test_an_encoded_body_is_refused(ask: Asker) -> None:
    assert_error(ask.raw(GOOD.encode(), headers={"Content-Encoding": "gzip"}), 400, "invalid_request_error")


def test_an_encoding_that_changes_nothing_is_none(ask: Asker, engine: ScriptedEngine) -> None:
    assert ask.raw(GOOD.encode(), headers={"Content-Encoding": "identity"}).status == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "application/json; charset=utf-8"])
def test_the_content_type_of_a_body_does_not_matter(ask: Asker, engine: ScriptedEngine, content_type: str) -> None:
    assert ask.raw(GOOD.encode(), headers={"Content-Type": content_type}).status == 200


def test_a_large_max_tokens_is_clipped_never_an_error(ask: Asker, engine: ScriptedEngine) -> None:
    engine.scripts = [Script(pieces=whole("Hello"))]
    assert ask(max_tokens=10**9).status == 200
    assert json.loads(engine.bodies[0])["max_tokens"] == 4096


def test_vllm_s_refusal_of_prompt_and_max_tokens_together_is_answered_by_clipping(
    ask: Asker, engine: ScriptedEngine
) -> None:
    refusal = (
        b'{"error":{"message":"This model\'s maximum context length is 8192 tokens. However, you requested 8992 tokens '
        b'(7992 in the messages, 1000 in the completion).","code":400}}'
    )
    engine.scripts = [Script(status=400, pieces=[refusal]), Script(pieces=whole("Hello"))]
    assert ask().status == 200
    assert [json.loads(body).get("max_tokens") for body in engine.bodies] == [1000, None]


@pytest.mark.parametrize("index", ["9" * 5000, "\u0663"])
def test_a_reference_by_no_index_is_refused_by_its_path(ask: Asker, index: str) -> None:
    schema = {"anyOf": [{"type": "object"}, {"$ref": f"#/anyOf/{index}"}]}
    response = ask(response_format={"type": "json", "schema": schema})
    assert_error(response, 400, "invalid_request_error", reason="unsupported_parameter")


@pytest.mark.parametrize("token", ["\u0663", "-1", "9" * 5000, "1.0", ""])
def test_a_bias_for_no_token_id_is_refused(ask: Asker, engine: ScriptedEngine, token: str) -> None:
    response = ask(logit_bias={token: 1})
    assert_error(response, 400, "invalid_request_error")
    assert (response.error["param"], engine.bodies) == ("logit_bias", [])


@pytest.mark.parametrize("path", ["/v1/files", "/v1/batches"])
@pytest.mark.parametrize("limit", ["0", "101", "9" * 5000, "-1", "1.0", "%00", "%D9%A1", ""])
def test_a_limit_that_is_none_is_refused(stack: Stack, account: OpenedAccount, path: str, limit: str) -> None:
    response = request(stack.account.port, "GET", f"{path}?limit={limit}", headers=account.authorization)
    assert_error(response, 400, "invalid_request_error")
    assert response.error["param"] == "limit"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"name": 1}', "name"),
        (b'{"name": ""}', "name"),
        (b'{"scopes": []}', "scopes"),
        (b'{"scopes": ["root"]}', "scopes[0]"),
        (b'{"scopes": "chat"}', "scopes"),
        (b'{"replaces": 3}', "replaces"),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_a_bad_new_key_is_refused_by_field(
    stack: Stack, account: OpenedAccount, body: bytes, param: str | None
) -> None:
    response = request(stack.account.port, "POST", "/v1/keys", headers=account.authorization, body=body)
    assert_error(response, 400, "invalid_request_error")
    assert response.error["param"] == param
