"""The chat function as deployed: `run.sh` behind the Lambda Web Adapter, on Lambda's own protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.local.engine_plug import StreamFault
from tests.deployed.events import http_event
from tests.deployed.runtime_api import Invocation, RuntimeApi
from tests.support.engine_pieces import closing, opening, text_piece, whole
from tests.support.hand_engine import HandEngine
from tests.support.sse_reader import DONE, read_event, text_of
from tests.support.stack import OpenedAccount, Stack

BROKEN = StreamFault("ModelStreamError", "The connection to the model was reset.", "StreamBroken")


def events_of(parts: list[bytes]) -> list[Any]:
    """The events in these parts, which may hold several each."""
    return [read_event(event + b"\n\n") for event in b"".join(parts).split(b"\n\n")[:-1]]


def ask(runtime: RuntimeApi, account: OpenedAccount, **body: Any) -> Invocation:
    """A good request of this account with these fields in its body."""
    return runtime.invoke(http_event("apigw_chat", headers=account.authorization, body=body))


def test_tokens_arrive_one_by_one(runtime: RuntimeApi, account: OpenedAccount, engine: HandEngine) -> None:
    invocation = ask(runtime, account, stream=True)
    call = engine.call(0)
    call.give(*opening("The"))
    status, headers = invocation.read_prelude()
    assert status == 200
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    seen: list[bytes] = []
    while text_of(events_of(seen)) != "The":
        seen.append(invocation.read_part())
    for n, word in enumerate([" capital", " is", " Paris"], start=2):
        call.give(text_piece(word, completion=n))  # only now: whatever held back a token would hold up this test
        assert text_of(events_of([invocation.read_part()])) == word
    call.give(*closing(completion=4))
    call.end()
    last = events_of(list(invocation.read_parts()))
    assert last[-1] == DONE
    assert last[-2]["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize(("event", "param"), [("apigw_chat_bad", "messages"), ("apigw_chat_stream_bad", "temperature")])
def test_a_bad_request_is_refused_before_any_event(
    runtime: RuntimeApi, account: OpenedAccount, event: str, param: str
) -> None:
    status, _, body = runtime.invoke(http_event(event, headers=account.authorization)).read_answer()
    assert (status, json.loads(body)["error"]["param"]) == (400, param)


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_is_settled_when_lambda_freezes_the_function(
    runtime: RuntimeApi, account: OpenedAccount, engine: HandEngine, stack: Stack, stream: bool
) -> None:
    invocation = ask(runtime, account, stream=stream)
    call = engine.call(0)
    call.give(*whole("Hello", " world"))
    call.end()
    status, _, body = invocation.read_answer()
    assert status == 200
    assert b"Hello" in body
    (record,) = stack.usage_records(account)
    assert (record["status"], record["completion_tokens"]) == ("ok", 2)
    assert not stack.account_of(account).open


def test_the_next_invocation_is_served_after_the_thaw(
    runtime: RuntimeApi, account: OpenedAccount, engine: HandEngine, stack: Stack
) -> None:
    for number in range(2):
        invocation = ask(runtime, account)
        engine.call(number).give(*whole("Hello"))
        engine.call(number).end()
        status, headers, body = invocation.read_answer()
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body)["choices"][0]["message"]["content"] == "Hello"
    assert len(stack.usage_records(account)) == 2


def test_an_error_before_the_first_byte_is_a_real_status(
    runtime: RuntimeApi, account: OpenedAccount, engine: HandEngine
) -> None:
    invocation = ask(runtime, account, stream=True)
    engine.call(0).give(BROKEN)
    status, headers, body = invocation.read_answer()
    assert status == json.loads(body)["error"]["code"] == 500
    assert headers["content-type"] == "application/json"


def test_an_error_after_the_first_byte_is_an_event_and_no_done(
    runtime: RuntimeApi, account: OpenedAccount, engine: HandEngine, stack: Stack
) -> None:
    invocation = ask(runtime, account, stream=True)
    engine.call(0).give(*opening("Hel"), BROKEN)
    status, _, body = invocation.read_answer()
    events = events_of([body])
    assert status == 200
    assert text_of(events[:-1]) == "Hel"
    assert events[-1]["error"]["type"] == "server_error"
    assert [record["status"] for record in stack.usage_records(account)] == ["partial"]


@pytest.mark.parametrize(
    ("changed", "status", "type_"),
    [
        ({"headers": {"Authorization": "Bearer sk-wrong"}}, 401, "authentication_error"),
        ({"body": {"messages": []}}, 400, "invalid_request_error"),
        ({"body": {"model": "no-such-model"}}, 404, "not_found_error"),
        ({"method": "GET"}, 405, "invalid_request_error"),
        ({"path": "/events"}, 404, "not_found_error"),
        ({"path": "/v1/models"}, 404, "not_found_error"),
    ],
)
def test_a_refusal_is_a_real_status_in_the_error_shape(
    runtime: RuntimeApi, account: OpenedAccount, changed: dict[str, Any], status: int, type_: str
) -> None:
    event = http_event("apigw_chat", **{"headers": account.authorization} | changed)
    answered, headers, body = runtime.invoke(event).read_answer()
    error = json.loads(body)["error"]
    assert (answered, error["code"], error["type"]) == (status, status, type_)
    assert headers["x-request-id"]
    assert headers["access-control-allow-origin"] == "*"
    assert ("allow" in headers) == (status == 405)


def test_a_browser_may_ask_before_it_asks(runtime: RuntimeApi) -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Headers": "authorization,content-type"}
    event = http_event("apigw_chat", method="OPTIONS", headers=asked)
    status, headers, body = runtime.invoke(event | {"body": None}).read_answer()
    assert (status, body) == (204, b"")
    assert headers["access-control-allow-headers"] == "authorization,content-type"


@pytest.mark.parametrize(
    "event",
    [
        {"Records": [{"eventSource": "aws:sqs", "body": '{"model": "smollm2-135m-instruct"}', "messageId": "1"}]},
        {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
        {"anything": "at all"},
    ],
)
def test_an_event_that_is_no_request_generates_nothing(
    runtime: RuntimeApi, engine: HandEngine, event: dict[str, Any]
) -> None:
    status, _, body = runtime.invoke(event).read_answer()
    assert status == json.loads(body)["error"]["code"] == 404
    assert engine.calls == []


def test_a_request_id_of_the_client_comes_back(runtime: RuntimeApi, account: OpenedAccount) -> None:
    headers = {**account.authorization, "X-Request-Id": "mine-1"}
    _, answered, _ = runtime.invoke(http_event("apigw_chat", headers=headers, body={"n": 0})).read_answer()
    assert answered["x-request-id"] == "mine-1"
