"""/v1/batches, from file to files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.http.asking import CHAT, MESSAGES
from tests.http.behind import Clerk
from tests.support.backstage import Backstage
from tests.support.scripted_engine import ScriptedEngine
from tests.support.stack import MODEL, OpenedAccount, Stack


@pytest.fixture
def clerk(stack: Stack, account: OpenedAccount) -> Clerk:
    return Clerk(stack, account)


def line(custom_id: str) -> bytes:
    body = {"model": MODEL, "messages": MESSAGES}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body}).encode()


def start(clerk: Clerk, data: bytes, **fields: Any) -> dict[str, Any]:
    asked = {"input_file_id": clerk.file_id(data), "endpoint": CHAT, "completion_window": "24h", **fields}
    response = clerk("POST", "/v1/batches", asked)
    assert response.status == 200, response.body
    batch: dict[str, Any] = response.json()
    return batch


def lines_of(clerk: Clerk, file_id: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in clerk("GET", f"/v1/files/{file_id}/content").body.splitlines()]


def test_a_batch_runs_every_line_and_bills_what_its_answers_say(
    clerk: Clerk, backstage: Backstage, engine: ScriptedEngine, stack: Stack, account: OpenedAccount
) -> None:
    batch = start(clerk, b"\n".join([line("a"), b"{", line("b")]), metadata={"k": "v"})
    assert (batch["status"], batch["metadata"]) == ("validating", {"k": "v"})
    backstage.run_out()
    batch = clerk("GET", f"/v1/batches/{batch['id']}").json()
    assert (batch["status"], batch["request_counts"]) == ("completed", {"total": 3, "completed": 2, "failed": 1})
    output = lines_of(clerk, batch["output_file_id"])
    assert [entry["custom_id"] for entry in output] == ["a", "b"]
    (error,) = lines_of(clerk, batch["error_file_id"])
    assert error["error"]["line"] == 2
    told = sum(entry["response"]["body"]["usage"]["total_tokens"] for entry in output)
    assert told == sum(record["total_tokens"] for record in stack.usage_records(account)) > 0
    assert len(engine.bodies) == 2


def test_a_batch_is_cancelled(
    clerk: Clerk, backstage: Backstage, engine: ScriptedEngine, stack: Stack, account: OpenedAccount
) -> None:
    batch = start(clerk, b"\n".join([line("a"), line("b")]))
    backstage.take_steps()
    cancelling = clerk("POST", f"/v1/batches/{batch['id']}/cancel").json()
    assert cancelling["status"] == "cancelling"
    backstage.run_out()
    batch = clerk("GET", f"/v1/batches/{batch['id']}").json()
    assert (batch["status"], batch["request_counts"]["failed"]) == ("cancelled", 2)
    assert (engine.bodies, stack.usage_records(account)) == ([], [])
    assert clerk("POST", f"/v1/batches/{batch['id']}/cancel").status == 400


def test_batches_are_listed_newest_first_in_pages(clerk: Clerk) -> None:
    made = [start(clerk, line("a"))["id"] for _ in range(3)]
    page = clerk("GET", "/v1/batches?limit=2").json()
    rest = clerk("GET", f"/v1/batches?limit=2&after={page['last_id']}").json()
    assert {batch["id"] for batch in page["data"] + rest["data"]} == set(made)
    assert (page["has_more"], rest["has_more"]) == (True, False)


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/cancel")])
def test_another_accounts_batch_is_not_there(stack: Stack, clerk: Clerk, method: str, path: str) -> None:
    batch = start(clerk, line("a"))
    response = Clerk(stack, stack.open_account())(method, f"/v1/batches/{batch['id']}{path}")
    assert (response.status, response.error["reason"]) == (404, "batch_not_found")


def test_another_accounts_file_can_not_be_run(stack: Stack, clerk: Clerk) -> None:
    asked = {"input_file_id": clerk.file_id(line("a")), "endpoint": CHAT, "completion_window": "24h"}
    response = Clerk(stack, stack.open_account())("POST", "/v1/batches", asked)
    assert (response.status, response.error["param"]) == (404, "input_file_id")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"completion_window": "1h"}, "completion_window"),
        ({"endpoint": "/v1/embeddings"}, "endpoint"),
        ({"input_file_id": None}, "input_file_id"),
        ({"metadata": "x"}, "metadata"),
    ],
)
def test_a_broken_request_names_its_field(clerk: Clerk, fields: dict[str, Any], param: str) -> None:
    asked = {"input_file_id": "file_1", "endpoint": CHAT, "completion_window": "24h", **fields}
    response = clerk("POST", "/v1/batches", asked)
    assert (response.status, response.error["param"]) == (400, param)
