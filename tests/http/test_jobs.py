"""/v1/jobs, from submission to answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.asking import MESSAGES
from tests.http.behind import Clerk
from tests.support.backstage import Backstage
from tests.support.engine_pieces import whole
from tests.support.http_client import request
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import MODEL, OpenedAccount, Stack

JOB = {"model": MODEL, "messages": MESSAGES}


@pytest.fixture
def clerk(stack: Stack, account: OpenedAccount) -> Clerk:
    return Clerk(stack, account)


def test_a_job_is_taken_at_once_and_answered_later(
    clerk: Clerk, backstage: Backstage, engine: ScriptedEngine, stack: Stack, account: OpenedAccount
) -> None:
    response = clerk("POST", "/v1/jobs", {**JOB, "metadata": {"order": "7"}})
    assert (response.status, response.json()["status"]) == (202, "queued")
    job_id = response.json()["id"]
    backstage.run_out()
    shown = clerk("GET", f"/v1/jobs/{job_id}").json()
    assert (shown["status"], shown["metadata"]) == ("succeeded", {"order": "7"})
    assert shown["result"]["object"] == "chat.completion"
    assert shown["result"]["choices"][0]["message"]["content"] == "Hello world"
    (record,) = stack.usage_records(account)
    assert record["total_tokens"] == shown["result"]["usage"]["total_tokens"]


def test_a_text_completion_may_be_a_job(clerk: Clerk, backstage: Backstage, engine: ScriptedEngine) -> None:
    asked = {"model": MODEL, "prompt": "hi", "endpoint": "/v1/completions"}
    job_id = clerk("POST", "/v1/jobs", asked).json()["id"]
    backstage.run_out()
    assert clerk("GET", f"/v1/jobs/{job_id}").json()["result"]["object"] == "text_completion"


@pytest.mark.parametrize(
    ("spoil", "status", "param"),
    [
        ({"model": "none"}, 404, "model"),
        ({"messages": []}, 400, "messages"),
        ({"stream": True}, 400, "stream"),
        ({"endpoint": "/v1/models"}, 400, "endpoint"),
        ({"callback_url": "http://example.com"}, 400, "callback_url"),
        ({"callback_url": "https://user@example.com"}, 400, "callback_url"),
        ({"metadata": {"a": 1}}, 400, "metadata.a"),
    ],
)
def test_a_request_that_would_be_refused_is_refused_before_it_is_queued(
    clerk: Clerk, spoil: dict[str, Any], status: int, param: str
) -> None:
    response = clerk("POST", "/v1/jobs", JOB | spoil)
    assert (response.status, response.error["param"]) == (status, param)


def test_a_job_that_waits_is_cancelled(
    clerk: Clerk, backstage: Backstage, engine: ScriptedEngine, stack: Stack, account: OpenedAccount
) -> None:
    job_id = clerk("POST", "/v1/jobs", JOB).json()["id"]
    assert clerk("DELETE", f"/v1/jobs/{job_id}").json()["status"] == "cancelled"
    backstage.run_out()
    assert clerk("GET", f"/v1/jobs/{job_id}").json()["status"] == "cancelled"
    assert clerk("DELETE", f"/v1/jobs/{job_id}").json()["status"] == "cancelled"
    assert (engine.bodies, stack.usage_records(account)) == ([], [])


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_another_accounts_job_is_not_there(stack: Stack, clerk: Clerk, method: str) -> None:
    job_id = clerk("POST", "/v1/jobs", JOB).json()["id"]
    stranger = Clerk(stack, stack.open_account())
    response = stranger(method, f"/v1/jobs/{job_id}")
    assert (response.status, response.error["reason"]) == (404, "job_not_found")
    assert response.body == stranger(method, "/v1/jobs/" + job_id).body


def test_a_job_that_the_engine_fails_says_why(clerk: Clerk, backstage: Backstage, stack: Stack) -> None:
    stack.engine.engine = ScriptedEngine([Script(pieces=whole("cut")[:2])])
    job_id = clerk("POST", "/v1/jobs", JOB).json()["id"]
    backstage.run_out()
    shown = clerk("GET", f"/v1/jobs/{job_id}").json()
    assert (shown["status"], shown["error"]["type"]) == ("failed", "server_error")


def test_a_job_needs_a_key_that_may_chat(stack: Stack, clerk: Clerk, account: OpenedAccount) -> None:
    assert request(stack.account.port, "POST", "/v1/jobs", body=JOB).status == 401
    admin = Clerk(stack, stack.add_key(account, "admin"))
    assert admin("POST", "/v1/jobs", JOB).status == 403
