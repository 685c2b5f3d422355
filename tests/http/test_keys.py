"""The routes of keys: CONTRACT "Keys and plans"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.asking import Asker
from tests.http.test_errors import assert_error
from tests.support.http_client import Response, request
from tests.support.scripted_engine import ScriptedEngine
from tests.support.stack import OpenedAccount, Stack


def call(stack: Stack, account: OpenedAccount, method: str, path: str, body: Any = None) -> Response:
    return request(stack.account.port, method, path, headers=account.authorization, body=body)


def test_a_new_key_is_shown_once_and_works_at_once(
    stack: Stack, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    made = call(stack, account, "POST", "/v1/keys", {"name": "laptop"})
    assert made.status == 201
    key = made.json()
    assert {**key, "key": None, "id": None, "created": None} == {
        "id": None,
        "object": "key",
        "name": "laptop",
        "enabled": True,
        "scopes": ["chat"],
        "created": None,
        "key": None,
    }
    assert key["key"].startswith(f"sk-{account.id}-{key['id']}-")
    assert Asker(stack.chat.port, {"Authorization": f"Bearer {key['key']}"})().status == 200
    shown = call(stack, account, "GET", f"/v1/keys/{key['id']}")
    listed = call(stack, account, "GET", "/v1/keys")
    assert shown.json() == {name: value for name, value in key.items() if name != "key"}
    assert shown.json() in listed.json()["data"]
    for response in (shown, listed):
        assert b"hash" not in response.body
        assert key["key"].encode() not in response.body


def test_a_key_made_of_nothing_has_the_defaults(stack: Stack, account: OpenedAccount) -> None:
    key = call(stack, account, "POST", "/v1/keys").json()
    assert (key["name"], key["scopes"]) == ("key", ["chat"])


def test_a_disabled_key_is_refused_on_the_next_request_and_keeps_its_history(
    stack: Stack, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    other = stack.add_key(account, "chat")
    ask = Asker(stack.chat.port, other.authorization)
    assert ask().status == 200
    disabled = call(stack, account, "POST", f"/v1/keys/{other.key_id}/disable")
    assert (disabled.status, disabled.json()["enabled"]) == (200, False)
    assert ask().status == 401
    assert ask(temperature="bad").status == 401
    assert call(stack, other, "GET", "/v1/usage").status == 401
    usage = call(stack, account, "GET", "/v1/usage").json()
    assert usage["today"]["keys"][other.key_id]["requests"] == 1
    enabled = call(stack, account, "POST", f"/v1/keys/{other.key_id}/enable")
    assert (enabled.status, enabled.json()["enabled"]) == (200, True)
    assert ask().status == 200


def test_a_deleted_key_is_gone_and_its_usage_stays(
    stack: Stack, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    other = stack.add_key(account, "chat")
    ask = Asker(stack.chat.port, other.authorization)
    assert ask().status == 200
    deleted = call(stack, account, "DELETE", f"/v1/keys/{other.key_id}")
    assert (deleted.status, deleted.json()) == (200, {"id": other.key_id, "object": "key", "deleted": True})
    assert ask().status == 401
    assert_error(
        call(stack, account, "GET", f"/v1/keys/{other.key_id}"), 404, "not_found_error", reason="key_not_found"
    )
    usage = call(stack, account, "GET", "/v1/usage").json()
    assert usage["today"]["keys"][other.key_id]["total_tokens"] == 12


@pytest.mark.parametrize(("plan", "most"), [("free", 1), ("pro", 2)])
def test_a_plan_has_room_for_so_many_keys(stack: Stack, plan: str, most: int) -> None:
    account = stack.open_account(plan=plan)
    for _ in range(most - 1):
        assert call(stack, account, "POST", "/v1/keys").status == 201
    refused = call(stack, account, "POST", "/v1/keys")
    assert_error(refused, 403, "permission_error", reason="key_limit_reached")
    assert refused.headers["x-ratelimit-limit-tokens"]


def test_a_plan_of_one_key_can_change_it_in_one_step(stack: Stack, engine: ScriptedEngine) -> None:
    account = stack.open_account(plan="free")
    made = call(stack, account, "POST", "/v1/keys", {"replaces": account.key_id, "scopes": ["chat", "admin"]})
    assert made.status == 201
    new = OpenedAccount(account.id, made.json()["key"])
    assert Asker(stack.chat.port, account.authorization)().status == 401
    assert Asker(stack.chat.port, new.authorization)().status == 200
    assert len(call(stack, new, "GET", "/v1/keys").json()["data"]) == 1


def test_replacing_a_key_that_is_not_there_is_404(stack: Stack, account: OpenedAccount) -> None:
    response = call(stack, account, "POST", "/v1/keys", {"replaces": "nosuchky"})
    assert_error(response, 404, "not_found_error", reason="key_not_found")


@pytest.mark.parametrize(("method", "suffix"), [("DELETE", ""), ("POST", "/disable")])
def test_the_last_admin_key_stays(stack: Stack, account: OpenedAccount, method: str, suffix: str) -> None:
    stack.add_key(account, "chat")
    response = call(stack, account, method, f"/v1/keys/{account.key_id}{suffix}")
    assert_error(response, 403, "permission_error", reason="last_admin_key")
    assert call(stack, account, "GET", "/v1/keys").status == 200


def test_the_last_admin_key_is_not_replaced_by_one_that_is_none(stack: Stack, account: OpenedAccount) -> None:
    response = call(stack, account, "POST", "/v1/keys", {"replaces": account.key_id})
    assert_error(response, 403, "permission_error", reason="last_admin_key")


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("DELETE", ""), ("POST", "/disable"), ("POST", "/enable")])
def test_another_account_s_keys_are_not_there(stack: Stack, account: OpenedAccount, method: str, suffix: str) -> None:
    stranger = stack.open_account()
    response = call(stack, account, method, f"/v1/keys/{stranger.key_id}{suffix}")
    assert_error(response, 404, "not_found_error", reason="key_not_found")
    assert call(stack, stranger, "GET", "/v1/keys").status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("GET", "/v1/keys/x"),
        ("DELETE", "/v1/keys/x"),
        ("POST", "/v1/keys/x/disable"),
        ("POST", "/v1/keys/x/enable"),
    ],
)
def test_a_chat_key_may_not_touch_keys(stack: Stack, account: OpenedAccount, method: str, path: str) -> None:
    chat = stack.add_key(account, "chat")
    response = call(stack, chat, method, path)
    assert_error(response, 403, "permission_error", reason="missing_scope")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/usage"])
def test_any_key_may_see_models_and_usage(stack: Stack, account: OpenedAccount, path: str) -> None:
    assert call(stack, stack.add_key(account, "chat"), "GET", path).status == 200
