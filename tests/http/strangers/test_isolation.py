"""No route shows, changes or uses what is another account's, and none does what a key's scopes do not say.

Every operation of the API's document must have a row here: a new route fails these tests until it is walked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.http.asking import CHAT, COMPLETIONS, chat_body
from tests.http.behind import Clerk
from tests.http.strangers.conftest import GOOD_BODIES, Door
from tests.support.scripted_engine import ScriptedEngine
from tests.support.stack import OpenedAccount, Stack

LINE = {"custom_id": "1", "method": "POST", "url": CHAT, "body": chat_body()}

# What names a thing of one account, and where its id goes.
BY_ID = {
    ("GET", "/v1/keys/{id}"): "key",
    ("DELETE", "/v1/keys/{id}"): "key",
    ("POST", "/v1/keys/{id}/disable"): "key",
    ("POST", "/v1/keys/{id}/enable"): "key",
    ("GET", "/v1/jobs/{id}"): "job",
    ("DELETE", "/v1/jobs/{id}"): "job",
    ("GET", "/v1/files/{id}"): "file",
    ("DELETE", "/v1/files/{id}"): "file",
    ("GET", "/v1/files/{id}/content"): "file",
    ("GET", "/v1/batches/{id}"): "batch",
    ("POST", "/v1/batches/{id}/cancel"): "batch",
}
LISTS = {("GET", "/v1/keys"), ("GET", "/v1/files"), ("GET", "/v1/batches"), ("GET", "/v1/usage")}
MAKES = {
    ("POST", CHAT),
    ("POST", COMPLETIONS),
    ("POST", "/v1/keys"),
    ("POST", "/v1/jobs"),
    ("POST", "/v1/files"),
    ("POST", "/v1/batches"),
}
OF_NOBODY = {("GET", "/v1/models"), ("GET", "/v1/models/{id}"), ("GET", "/health")}

ADMIN = {operation for operation in [*BY_ID, *LISTS, *MAKES] if operation[1].startswith("/v1/keys")}
ANY_KEY = {("GET", "/v1/models"), ("GET", "/v1/models/{id}"), ("GET", "/v1/usage")}
NO_KEY = {("GET", "/health")}


@dataclass(frozen=True, slots=True)
class Owner:
    """An account with one of everything, by kind."""

    account: OpenedAccount
    ids: dict[str, str]


@pytest.fixture
def owner(stack: Stack, account: OpenedAccount, engine: ScriptedEngine) -> Owner:
    clerk = Clerk(stack, account)
    file_id = clerk.file_id(json.dumps(LINE).encode())
    batch = clerk("POST", "/v1/batches", {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"})
    job = clerk("POST", "/v1/jobs", chat_body())
    ids = {"file": file_id, "batch": batch.json()["id"], "job": job.json()["id"], "key": account.key_id}
    return Owner(account, ids)


@pytest.fixture
def stranger(stack: Stack) -> OpenedAccount:
    return stack.open_account()


def belongings(door: Door, owner: Owner) -> list[Any]:
    """All that the owner sees of what is his, but for what his own looking changes."""
    paths = [f"/v1/{kind if kind != 'batch' else 'batche'}s/{id_}" for kind, id_ in owner.ids.items()]
    seen = [
        door("GET", path, owner.account.key) for path in [*paths, "/v1/keys", "/v1/files", "/v1/batches", "/v1/usage"]
    ]
    assert {response.status for response in seen} == {200}
    bodies = [response.json() for response in seen]
    for period in ("today", "week", "month"):
        bodies[-1][period].pop("to")
    return bodies


def test_every_operation_has_its_place_here(door: Door) -> None:
    walked = [*BY_ID, *LISTS, *MAKES, *OF_NOBODY]
    assert sorted(walked) == sorted(door.operations())


@pytest.mark.parametrize("operation", sorted(BY_ID), ids=" ".join)
def test_another_account_s_id_is_an_id_that_does_not_exist(
    door: Door, owner: Owner, stranger: OpenedAccount, operation: tuple[str, str]
) -> None:
    method, path = operation
    before = belongings(door, owner)
    id_ = owner.ids[BY_ID[operation]]
    unused = id_[:-4] + ("0000" if id_[-4:] != "0000" else "1111")
    theirs = door(method, path.replace("{id}", id_), stranger.key)
    nobodys = door(method, path.replace("{id}", unused), stranger.key)
    assert theirs.status == nobodys.status == 404
    assert theirs.body.replace(id_.encode(), b"ID") == nobodys.body.replace(unused.encode(), b"ID")
    assert belongings(door, owner) == before


@pytest.mark.parametrize("operation", sorted(LISTS), ids=" ".join)
def test_a_list_holds_nothing_of_another_account(
    door: Door, owner: Owner, stranger: OpenedAccount, operation: tuple[str, str]
) -> None:
    method, path = operation
    own = [owner.account.id, *owner.ids.values()]
    for query in ("", *(f"?after={id_}" for id_ in owner.ids.values())):
        answer = door(method, path + query, stranger.key)
        assert answer.status in (200, 400), query
        told = answer.body if answer.status == 200 else b""
        assert [id_ for id_ in own if id_.encode() in told] == []


def test_what_another_account_owns_can_not_be_named_in_a_body(
    door: Door, owner: Owner, stranger: OpenedAccount
) -> None:
    before = belongings(door, owner)
    batch = {"input_file_id": owner.ids["file"], "endpoint": CHAT, "completion_window": "24h"}
    refused = [
        door("POST", "/v1/batches", stranger.key, batch),
        door("POST", "/v1/keys", stranger.key, {"name": "x", "replaces": owner.ids["key"]}),
    ]
    assert [response.status for response in refused] == [404, 404]
    assert belongings(door, owner) == before


def test_what_an_account_makes_or_asks_is_told_and_billed_to_it_alone(
    door: Door, owner: Owner, stranger: OpenedAccount, stack: Stack
) -> None:
    before = belongings(door, owner)
    for method, path in sorted(MAKES):
        answer = door(method, path, stranger.key, GOOD_BODIES[method, path])
        assert answer.status in (200, 201, 202, 404), path
        assert owner.account.id.encode() not in answer.body
    assert belongings(door, owner) == before
    assert len(stack.usage_records(stranger)) == 2


@pytest.mark.parametrize(
    "id_",
    [
        "..",
        "%2e%2e",
        "x/../y",
        "%00",
        "%0a",
        "a%23b",
        "ACCOUNT%23x",
        "USAGE%23x",
        "*",
        "%25",
        "' OR 1=1",
        "%C3%A9",
        "x" * 2000,
    ],
)
def test_an_id_is_never_more_than_an_id(door: Door, account: OpenedAccount, id_: str) -> None:
    for method, path in sorted(BY_ID):
        answer = door(method, path.replace("{id}", id_.replace(" ", "%20")), account.key)
        assert answer.status in (404, 405), (method, path, answer.body)
        assert answer.error["code"] == answer.status


def scopes_of(operation: tuple[str, str]) -> str | None:
    return None if operation in ANY_KEY | NO_KEY else "admin" if operation in ADMIN else "chat"


@pytest.mark.parametrize("scope", ["chat", "admin"])
def test_a_key_may_what_its_scope_says_and_nothing_else(
    door: Door, stack: Stack, account: OpenedAccount, engine: ScriptedEngine, scope: str
) -> None:
    key = stack.add_key(account, "chat" if scope == "chat" else "admin").key

    def lacks_scope(operation: tuple[str, str]) -> bool:
        method, path = operation
        answer = door(method, path.replace("{id}", "smollm2-135m-instruct"), key, GOOD_BODIES.get(operation))
        return answer.status == 403 and answer.error["reason"] == "missing_scope"

    refused = {operation for operation in door.operations() if lacks_scope(operation)}
    assert refused == {operation for operation in door.operations() if scopes_of(operation) not in (scope, None)}
