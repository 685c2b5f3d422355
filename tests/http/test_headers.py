"""What every answer carries: request ids, CORS, rate limits, and the names of what was ignored."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.http.asking import CHAT, MESSAGES, Asker
from tests.support.engine_pieces import whole
from tests.support.http_client import request
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import MODEL, OpenedAccount, Stack

EXPOSED = {
    "x-request-id",
    "x-ignored-params",
    "x-search-status",
    "retry-after",
    *(f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")),
}


@pytest.mark.parametrize("id_", ["a", "trace-1.2:3_x", "Root=1".replace("=", "-"), "a" * 128])
def test_a_sane_request_id_is_echoed(ask: Asker, engine: ScriptedEngine, id_: str) -> None:
    assert ask(headers={"x-request-id": id_}).headers["x-request-id"] == id_
    assert ask(headers={"x-request-id": id_}, model="none").headers["x-request-id"] == id_


@pytest.mark.parametrize("id_", ["", "a" * 129, "two words", "tab\there", "<script>", "a,b", "\u00e9", "a\\b"])
def test_a_bad_request_id_is_replaced(stack: Stack, id_: str) -> None:
    new = request(stack.account.port, "GET", "/health", headers={"x-request-id": id_}).headers["x-request-id"]
    assert re.fullmatch(r"[A-Za-z0-9]{24}", new)


def test_answers_without_a_client_s_id_have_one_each(stack: Stack) -> None:
    ids = [request(stack.chat.port, "GET", "/health").headers["x-request-id"] for _ in range(3)]
    assert len(set(ids)) == 3


def test_a_stream_echoes_the_request_id(stack: Stack, account: OpenedAccount, engine: ScriptedEngine) -> None:
    ask = Asker(stack.chat.port, {**account.authorization, "X-Request-Id": "mine"})
    response, _ = ask.stream()
    assert response.headers["x-request-id"] == "mine"


@pytest.mark.parametrize("where", ["chat", "account"])
@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/anything"])
def test_a_preflight_needs_no_key_and_echoes_the_headers_asked_for(stack: Stack, where: str, path: str) -> None:
    port = stack.chat.port if where == "chat" else stack.account.port
    asked = "authorization, content-type, x-stainless-os, x-stainless-lang"
    headers = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }
    response = request(port, "OPTIONS", path, headers=headers)
    assert response.status == 204
    assert response.body == b""
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-headers"] == asked
    assert {"GET", "POST", "DELETE"} <= set(response.headers["access-control-allow-methods"].split(", "))
    assert int(response.headers["access-control-max-age"]) > 0
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize("asked", [None, "", "a;b", "x" * 3000, "x<script>"])
def test_a_preflight_never_echoes_nonsense(stack: Stack, asked: str | None) -> None:
    headers = {"Access-Control-Request-Headers": asked} if asked is not None else {}
    response = request(stack.chat.port, "OPTIONS", CHAT, headers=headers)
    assert response.status == 204
    assert response.headers["access-control-allow-headers"] == "authorization, content-type, x-request-id"


def test_browsers_may_read_every_header_that_we_send_of_our_own(
    stack: Stack, ask: Asker, engine: ScriptedEngine
) -> None:
    answers = [
        ask(whatever=1),
        ask(stream=True),
        ask(model="none"),
        request(stack.chat.port, "POST", CHAT),
        request(stack.chat.port, "GET", "/nothing"),
        request(stack.account.port, "GET", "/v1/models", headers=ask.headers),
        request(stack.account.port, "GET", "/docs"),
    ]
    for response in answers:
        assert response.headers["access-control-allow-origin"] == "*"
        exposed = set(response.headers["access-control-expose-headers"].split(", "))
        assert exposed == EXPOSED
        ours = {name for name in response.headers if name.startswith("x-")} - {"x-accel-buffering"}
        assert ours <= exposed


def test_the_rate_limit_headers_count_down(stack: Stack, engine: ScriptedEngine) -> None:
    engine.scripts = [Script(pieces=whole("Hello", prompt=10, completion=5))]
    account = stack.open_account(plan="free")
    ask = Asker(stack.chat.port, account.authorization)
    assert ask(max_tokens=100).status == 200
    headers = ask(max_tokens=100).headers
    assert headers["x-ratelimit-limit-requests"] == "20"
    assert headers["x-ratelimit-limit-tokens"] == "30000"
    assert headers["x-ratelimit-remaining-requests"] in ("18", "19")  # 19 where a new minute began between the two
    # 15 used before, and 100 with a few for the prompt reserved now
    assert 30_000 - 15 - 150 < int(headers["x-ratelimit-remaining-tokens"]) < 30_000 - 15 - 100
    assert re.fullmatch(r"(1m0s|\d{1,2}s)", headers["x-ratelimit-reset-requests"])
    assert re.fullmatch(r"(\d+h)?(\d+m)?\d+s", headers["x-ratelimit-reset-tokens"])


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/none", "/v1/usage", "/v1/keys", "/v1/keys/none"])
def test_account_routes_tell_the_rate_limits_and_are_not_cached(
    stack: Stack, account: OpenedAccount, path: str
) -> None:
    response = request(stack.account.port, "GET", path, headers=account.authorization)
    assert response.headers["x-ratelimit-limit-requests"] == "600"
    assert response.status == 404 or response.headers["cache-control"] == "no-store"


def test_ignored_params_names_what_was_ignored_and_only_safe_names(ask: Asker, engine: ScriptedEngine) -> None:
    hostile = {"a\r\nSet-Cookie: x": 1, "two words": 2, "\u00e9": 3, "": 4, "x" * 65: 5, "ok_1": 6, "also.ok-2": None}
    body = {"model": MODEL, "messages": MESSAGES, "repetition_penalty": 1.1, **hostile}
    response = ask.raw(json.dumps(body).encode())
    assert response.status == 200
    assert response.headers["x-ignored-params"] == "repetition_penalty, ok_1"
    assert "set-cookie" not in response.headers


def test_ignored_params_are_not_endlessly_many(ask: Asker, engine: ScriptedEngine) -> None:
    extras: dict[str, Any] = {f"extra{number}": 1 for number in range(500)}
    response = ask(**extras)
    assert response.status == 200
    assert len(response.headers["x-ignored-params"].split(", ")) == 20


def test_a_stream_names_what_was_ignored(ask: Asker, engine: ScriptedEngine) -> None:
    response, _ = ask.stream(repetition_penalty=1.1)
    assert response.headers["x-ignored-params"] == "repetition_penalty"


def test_known_fields_are_not_called_ignored(ask: Asker, engine: ScriptedEngine) -> None:
    fields: dict[str, Any] = {"user": "me", "seed": 1, "stop": "x", "metadata": {"a": "b"}, "web_search": False, "n": 1}
    assert "x-ignored-params" not in ask(**fields).headers


def test_health_is_there_without_a_key_on_both_applications(stack: Stack) -> None:
    for port in (stack.chat.port, stack.account.port):
        response = request(port, "GET", "/health")
        assert (response.status, response.json()) == (200, {"status": "ok"})
