"""CONTRACT "Errors", row by row, on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from gateway.domain.keys import format_key
from gateway.domain.line import Waiter

from infra.local.engine_plug import Refusal
from tests.http.asking import CHAT, COMPLETIONS, Asker, chat_body
from tests.support.hand_engine import HandEngine
from tests.support.http_client import Response, request
from tests.support.scripted_engine import (
    INTERNAL_DEPENDENCY,
    MODEL_NOT_READY,
    NO_CAPACITY,
    SERVICE_UNAVAILABLE,
    Script,
    ScriptedEngine,
)
from tests.support.stack import MODEL, MODEL_NOT_SERVED, SECOND_MODEL, AppServer, OpenedAccount, Stack

RATE_LIMITS = {f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")}


def assert_error(response: Response, status: int, type_: str, *, reason: str | None = None) -> None:
    """The four fields, always; `reason` where the type is not enough."""
    assert response.status == status, response.body
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["x-request-id"]
    error = response.error
    assert set(error) == {"message", "type", "code", "param"} | ({"reason"} if reason else set())
    assert (error["type"], error["code"], error.get("reason")) == (type_, status, reason)
    assert type(error["code"]) is int
    assert error["message"].strip()
    assert error["param"] is None or error["param"]


def test_malformed_json_is_400(ask: Asker) -> None:
    assert_error(ask.raw(b'{"model":'), 400, "invalid_request_error")


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer sk-",
        "Bearer nonsense",
        "Basic dXNlcjpwYXNz",
        "Bearer sk-localaccount-localkey-DoNotUseThisKeyOutsideOfLocalRunXXXXXX",
    ],
)
@pytest.mark.parametrize("where", ["chat", "account"])
def test_a_missing_or_malformed_key_is_401(stack: Stack, authorization: str | None, where: str) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    if where == "chat":
        response = request(stack.chat.port, "POST", CHAT, headers=headers, body=chat_body())
    else:
        response = request(stack.account.port, "GET", "/v1/models", headers=headers)
    assert_error(response, 401, "authentication_error")
    assert response.headers["www-authenticate"] == "Bearer"
    assert not RATE_LIMITS & set(response.headers)


def test_unknown_wrong_disabled_and_deleted_keys_are_told_the_same(
    stack: Stack, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    keyring, ids = stack.gateway.keyring, stack.gateway.ids
    disabled = stack.add_key(account, "chat")
    stack.run(keyring.set_enabled(stack.account_of(account), disabled.key_id, enabled=False))
    other = stack.open_account()
    deleted = stack.add_key(other, "chat")
    stack.run(keyring.delete(stack.account_of(other), deleted.key_id))
    wrong_secret = format_key(account_id=account.id, key_id=account.key_id, secret=ids.key_secret())
    unknown_key = format_key(account_id=account.id, key_id=ids.key_id(), secret=ids.key_secret())
    unknown_account = format_key(account_id=ids.account_id(), key_id=ids.key_id(), secret=ids.key_secret())
    answers = [
        request(stack.chat.port, "POST", CHAT, headers={"Authorization": f"Bearer {key}"}, body=chat_body())
        for key in (disabled.key, deleted.key, wrong_secret, unknown_key, unknown_account, "sk-typo")
    ]
    for response in answers:
        assert_error(response, 401, "authentication_error")
    assert len({response.body for response in answers}) == 1


@pytest.mark.parametrize("body", [b"", b"not json", b'{"model": 1}', b'{"messages": [], "temperature": "hot"}'])
def test_a_stranger_with_a_bad_body_is_told_that_he_is_a_stranger(stack: Stack, body: bytes) -> None:
    ids = stack.gateway.ids
    unknown = format_key(account_id=ids.account_id(), key_id=ids.key_id(), secret=ids.key_secret())
    for headers in ({}, {"Authorization": f"Bearer {unknown}"}):
        assert_error(request(stack.chat.port, "POST", CHAT, headers=headers, body=body), 401, "authentication_error")


def test_a_key_without_the_scope_chat_is_403(stack: Stack, account: OpenedAccount) -> None:
    admin = stack.add_key(account, "admin")
    response = Asker(stack.chat.port, admin.authorization)()
    assert_error(response, 403, "permission_error", reason="missing_scope")


def test_a_suspended_account_is_403(stack: Stack, account: OpenedAccount, ask: Asker) -> None:
    stack.run(stack.gateway.administration.set_active(account.id, active=False))
    assert_error(ask(), 403, "permission_error", reason="account_suspended")


@pytest.mark.parametrize("path", ["/v1/nothing", "/", "/events", f"{CHAT}/", "/v1/models/a/b", "/v1/keys/"])
@pytest.mark.parametrize("where", ["chat", "account"])
def test_an_unknown_route_is_404(stack: Stack, where: str, path: str) -> None:
    port = stack.chat.port if where == "chat" else stack.account.port
    assert_error(request(port, "GET", path), 404, "not_found_error", reason="route_not_found")


def test_an_unknown_model_is_404_and_bills_nothing(ask: Asker, stack: Stack, account: OpenedAccount) -> None:
    response = ask(model="gpt-4o")
    assert_error(response, 404, "not_found_error", reason="model_not_found")
    assert response.error["param"] == "model"
    assert set(response.headers) >= RATE_LIMITS
    assert stack.usage_records(account) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_wrong_method_is_405_with_allow(stack: Stack, method: str, path: str) -> None:
    response = request(stack.chat.port, method, path)
    assert_error(response, 405, "invalid_request_error")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/v1/keys", "PUT", {"GET", "POST"}),
        ("/v1/keys/abc", "POST", {"GET", "DELETE"}),
        ("/v1/keys/abc/disable", "GET", {"POST"}),
        ("/v1/models", "POST", {"GET"}),
        ("/v1/usage", "DELETE", {"GET"}),
        ("/openapi.json", "POST", {"GET"}),
    ],
)
def test_allow_names_every_method_of_the_route(stack: Stack, path: str, method: str, allowed: set[str]) -> None:
    response = request(stack.account.port, method, path)
    assert_error(response, 405, "invalid_request_error")
    assert set(response.headers["allow"].split(", ")) - {"HEAD"} == allowed


@pytest.fixture
def small(stack: Stack) -> Iterator[AppServer]:
    """A chat application whose bodies may have 1,000 bytes."""
    server = AppServer(stack.make_gateway(MAX_BODY_BYTES="1000").chat_app())
    yield server
    server.stop()


def test_a_body_over_the_limit_is_413_by_its_declared_length(small: AppServer, account: OpenedAccount) -> None:
    response = Asker(small.port, account.authorization).raw(b" " * 1001)
    assert_error(response, 413, "invalid_request_error")
    assert set(response.headers) >= RATE_LIMITS


def test_a_body_over_the_limit_is_413_without_a_declared_length(small: AppServer, account: OpenedAccount) -> None:
    chunks = b"".join(b"190\r\n" + b" " * 400 + b"\r\n" for _ in range(3)) + b"0\r\n\r\n"
    response = Asker(small.port, account.authorization).raw(chunks, headers={"Transfer-Encoding": "chunked"})
    assert_error(response, 413, "invalid_request_error")


def test_a_body_of_just_the_limit_is_read(small: AppServer, account: OpenedAccount, engine: ScriptedEngine) -> None:
    body = b'{"model":"%s","messages":[{"role":"user","content":"hi"}]}' % MODEL.encode()
    assert Asker(small.port, account.authorization).raw(body.ljust(1000)).status == 200


def test_a_body_over_the_account_routes_limit_is_413(stack: Stack, account: OpenedAccount) -> None:
    response = request(stack.account.port, "POST", "/v1/keys", headers=account.authorization, body=b" " * 20_000)
    assert_error(response, 413, "invalid_request_error")


def test_a_stranger_s_large_body_is_401(small: AppServer) -> None:
    assert_error(request(small.port, "POST", CHAT, body=b" " * 1001), 401, "authentication_error")


def test_no_tokens_left_is_429_until_midnight(stack: Stack, engine: ScriptedEngine) -> None:
    account = stack.open_account(plan="free", daily_tokens=12)
    ask = Asker(stack.chat.port, account.authorization)
    assert ask().status == 200
    response = ask()
    assert_error(response, 429, "rate_limit_error", reason="daily_quota_exceeded")
    assert 0 < int(response.headers["retry-after"]) <= 86_400
    assert response.headers["x-ratelimit-remaining-tokens"] == "0"


def test_tokens_held_by_running_requests_are_429_for_seconds(stack: Stack) -> None:
    stack.engine.engine = by_hand = HandEngine()
    account = stack.open_account(plan="free", daily_tokens=500)
    ask = Asker(stack.chat.port, account.authorization)
    with ask.open_stream():
        call = by_hand.call(0)
        response = ask()
        assert_error(response, 429, "rate_limit_error", reason="tokens_reserved")
        assert int(response.headers["retry-after"]) <= 5
    assert call.wait_left()


def test_requests_over_the_minute_are_429(stack: Stack, engine: ScriptedEngine) -> None:
    account = stack.open_account(requests_per_minute=1)
    ask = Asker(stack.chat.port, account.authorization)
    responses = [ask() for _ in range(3)]  # a minute may end between two of them, not between all three
    refused = [response for response in responses if response.status == 429]
    assert refused
    for response in refused:
        assert_error(response, 429, "rate_limit_error", reason="requests_per_minute_exceeded")
        assert 1 <= int(response.headers["retry-after"]) <= 60
        assert response.headers["x-ratelimit-remaining-requests"] == "0"


def test_open_requests_over_the_plan_are_429(stack: Stack) -> None:
    stack.engine.engine = by_hand = HandEngine()
    account = stack.open_account(max_open_requests=1)
    ask = Asker(stack.chat.port, account.authorization)
    with ask.open_stream():
        call = by_hand.call(0)
        response = ask()
        assert_error(response, 429, "rate_limit_error", reason="too_many_open_requests")
        assert int(response.headers["retry-after"]) >= 1
    assert call.wait_left()


def test_a_model_that_is_not_served_is_503(ask: Asker) -> None:
    response = ask(model=MODEL_NOT_SERVED)
    assert_error(response, 503, "service_unavailable", reason="model_off")
    assert int(response.headers["retry-after"]) >= 1
    assert set(response.headers) >= RATE_LIMITS


def test_a_model_without_a_copy_is_503_warming(ask: Asker, stack: Stack) -> None:
    stack.run(stack.gateway.lines.describe(SECOND_MODEL, status="warming", copies=0, slots=0))
    response = ask(model=SECOND_MODEL)
    assert_error(response, 503, "service_unavailable", reason="model_warming")
    assert int(response.headers["retry-after"]) >= 1


def test_a_line_that_does_not_move_is_503_before_any_status_line(stack: Stack, account: OpenedAccount) -> None:
    server = AppServer(stack.make_gateway(LINE_WAIT_S="0.3").chat_app())
    stack.run(stack.gateway.lines.describe(SECOND_MODEL, status="ready", copies=1, slots=1))
    stack.second_engine.engine = by_hand = HandEngine()
    ask = Asker(server.port, account.authorization)
    with ask.open_stream(model=SECOND_MODEL):
        call = by_hand.call(0)
        response = ask(model=SECOND_MODEL, stream=True)
        assert_error(response, 503, "service_unavailable", reason="line_timeout")
        assert int(response.headers["retry-after"]) >= 1
    assert call.wait_left()
    server.stop()


def test_a_full_line_is_503_at_once(stack: Stack, account: OpenedAccount, ask: Asker) -> None:
    lines = stack.gateway.lines
    stack.run(lines.describe(SECOND_MODEL, status="ready", copies=1, slots=1))
    stack.second_engine.engine = by_hand = HandEngine()
    with ask.open_stream(model=SECOND_MODEL):
        call = by_hand.call(0)
        stack.run(_fill_line(stack))
        response = ask(model=SECOND_MODEL)
        stack.run(_empty_line(stack))
        assert_error(response, 503, "service_unavailable", reason="line_full")
        assert int(response.headers["retry-after"]) >= 1
    assert call.wait_left()


async def _fill_line(stack: Stack) -> None:
    """Four accounts that hold no slot: who holds one stands behind them all, and so takes the place of none."""
    now_s = stack.gateway.clock.now_s()
    waiter = Waiter(request_id="", account_id="", since_s=now_s, deadline_s=now_s + 60)
    waiters = [replace(waiter, request_id=f"waiter{number}", account_id=f"account{number}") for number in range(4)]
    joined = await asyncio.gather(
        *(stack.gateway.lines.join(SECOND_MODEL, waiter, max_waiting=4) for waiter in waiters)
    )
    assert all(joined)


async def _empty_line(stack: Stack) -> None:
    await asyncio.gather(*(stack.gateway.lines.leave(SECOND_MODEL, f"waiter{number}") for number in range(4)))


@pytest.mark.parametrize(
    ("script", "status", "type_", "reason"),
    [
        (Script(refusal=MODEL_NOT_READY), 503, "service_unavailable", "model_warming"),
        (Script(refusal=NO_CAPACITY), 503, "service_unavailable", "model_warming"),
        (Script(refusal=SERVICE_UNAVAILABLE), 503, "service_unavailable", "line_full"),
        (Script(refusal=Refusal(400, "ThrottlingException", "Rate exceeded")), 503, "service_unavailable", "line_full"),
        (Script(refusal=INTERNAL_DEPENDENCY), 500, "server_error", "engine_failed"),
        (Script(status=500, pieces=[b"CUDA error"]), 500, "server_error", "engine_failed"),
        (
            Script(status=503, pieces=[b'{"error":{"message":"Loading model"}}']),
            503,
            "service_unavailable",
            "model_warming",
        ),
    ],
)
def test_what_sagemaker_and_its_container_refuse_is_told_in_our_words(
    ask: Asker,
    stack: Stack,
    account: OpenedAccount,
    engine: ScriptedEngine,
    script: Script,
    status: int,
    type_: str,
    reason: str,
) -> None:
    engine.scripts = [script]
    response = ask(stream=True)
    assert_error(response, status, type_, reason=reason)
    assert set(response.headers) >= RATE_LIMITS
    assert ("retry-after" in response.headers) == (status == 503)
    (record,) = stack.usage_records(account)
    assert (record["status"], record["http_status"], record["total_tokens"]) == ("failed", status, 0)
    assert stack.account_of(account).open == {}
    assert stack.account_of(account).tokens_today == 0


def test_a_container_s_400_is_the_client_s_400_without_the_container_s_words(
    ask: Asker, engine: ScriptedEngine
) -> None:
    engine.scripts = [Script(status=400, pieces=[b'{"error":{"message":"template choked on PROMPTTEXT"}}'])]
    response = ask()
    assert_error(response, 400, "invalid_request_error")
    assert b"PROMPTTEXT" not in response.body


CONTEXT_REFUSALS = [
    (b'{"error":{"code":400,"message":"the request exceeds the available context size",'
     b'"type":"exceed_context_size_error","n_prompt_tokens":9100,"n_ctx":8192}}'),
    (b'{"error":{"message":"This model\'s maximum context length is 8192 tokens. However, you requested 10100 tokens '
     b'(9100 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.",'
     b'"type":"BadRequestError","code":400}}'),
    (b'{"object":"error","message":"This model\'s maximum context length is 8192 tokens. However, your request has '
     b'9100 input tokens. Please reduce the length of the input messages.","type":"BadRequestError","code":400}'),
]  # fmt: skip


@pytest.mark.parametrize("body", CONTEXT_REFUSALS)
def test_a_prompt_that_the_engine_finds_too_long_is_400_with_both_numbers_and_bills_nothing(
    ask: Asker, stack: Stack, account: OpenedAccount, engine: ScriptedEngine, body: bytes
) -> None:
    engine.scripts = [Script(status=400, pieces=[body])]
    response = ask()
    assert_error(response, 400, "invalid_request_error", reason="context_length_exceeded")
    assert response.error["param"] == "messages"
    assert "9100" in response.error["message"]
    assert "8192" in response.error["message"]
    assert stack.account_of(account).tokens_today == 0


def test_a_hopeless_prompt_is_refused_before_the_engine_is_asked(ask: Asker, engine: ScriptedEngine) -> None:
    response = ask(messages=[{"role": "user", "content": "word " * 100_000}])
    assert_error(response, 400, "invalid_request_error", reason="context_length_exceeded")
    assert engine.bodies == []


def test_a_model_that_never_answers_is_504(stack: Stack, account: OpenedAccount) -> None:
    server = AppServer(stack.make_gateway(REQUEST_TIMEOUT_S="0.4").chat_app())
    stack.engine.engine = by_hand = HandEngine()
    response = Asker(server.port, account.authorization)()
    assert_error(response, 504, "timeout_error", reason="engine_timeout")
    assert by_hand.call(0).wait_left()
    assert stack.line().open == {}
    server.stop()
