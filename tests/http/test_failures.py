"""Failures that nobody foresaw: a 500 in the contract's shape, nothing of the inside in it; and what the logs say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.engine_plug import Refusal
from tests.http.asking import CHAT, MESSAGES, Asker, chat_body
from tests.http.test_errors import assert_error
from tests.support.chat_process import ChatProcess
from tests.support.engine_pieces import opening, whole
from tests.support.http_client import Connection, request
from tests.support.refusing_aws import refusing_aws
from tests.support.scripted_engine import STREAM_BROKEN, Script, ScriptedEngine
from tests.support.stack import AppServer, OpenedAccount, Stack

PROMPT = "MARKERPROMPT"
ANSWER = "MARKERANSWER"
AWS_NAMES = (b"aws", b"boto", b"sagemaker", b"dynamo", b"lambda", b"traceback", b"arn:", b"accessdenied")
UNHEARD_OF = Refusal(418, "UnheardOfException", f"arn:aws:sagemaker:us-east-1:123456789012 could not do {PROMPT}")


def assert_says_nothing_of_the_inside(body: bytes) -> None:
    assert not [name for name in AWS_NAMES if name in body.lower()]
    assert PROMPT.encode() not in body


@pytest.mark.parametrize("stream", [True, False])
def test_an_error_of_sagemaker_that_nobody_knows_is_500(
    ask: Asker, engine: ScriptedEngine, stack: Stack, account: OpenedAccount, stream: bool
) -> None:
    engine.scripts = [Script(refusal=UNHEARD_OF)]
    response = ask(stream=stream, messages=[{"role": "user", "content": PROMPT}])
    assert_error(response, 500, "server_error")
    assert_says_nothing_of_the_inside(response.body)
    assert stack.account_of(account).open == {}
    assert stack.line().open == {}
    assert stack.usage_records(account)[0]["status"] == "failed"


@pytest.fixture
def denied(stack: Stack) -> Iterator[tuple[AppServer, AppServer]]:
    """Both applications before a table that answers AccessDenied."""
    with refusing_aws("AccessDeniedException", "User: arn:aws:iam::123 is not authorized on DynamoDB") as url:
        gateway = stack.make_gateway(AWS_ENDPOINT_URL_DYNAMODB=url)
        chat, account = AppServer(gateway.chat_app()), AppServer(gateway.account_app())
        yield chat, account
        chat.stop()
        account.stop()


def test_a_table_that_denies_is_500(denied: tuple[AppServer, AppServer], account: OpenedAccount) -> None:
    chat, account_app = denied
    answers = [
        request(chat.port, "POST", CHAT, headers=account.authorization, body=chat_body()),
        request(chat.port, "POST", CHAT, headers=account.authorization, body=b"{"),
        request(account_app.port, "GET", "/v1/usage", headers=account.authorization),
    ]
    for response in answers:
        assert_error(response, 500, "server_error")
        assert_says_nothing_of_the_inside(response.body)


@pytest.fixture
def chat_process(stack: Stack, tmp_path: Path) -> Iterator[ChatProcess]:
    process = ChatProcess(stack.environment, log=tmp_path / "log")
    yield process
    process.stop()


def test_a_failure_is_logged_once_under_the_request_id(
    chat_process: ChatProcess, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    engine.scripts = [Script(refusal=UNHEARD_OF)]
    Asker(chat_process.port, account.authorization)(headers={"x-request-id": "find-me-in-the-log"})
    (line,) = [line for line in chat_process.stop().splitlines() if "find-me-in-the-log" in line]
    record = json.loads(line)
    assert (record["level"], record["message"], record["path"]) == ("ERROR", "request failed", CHAT)
    assert "UnheardOfException" in record["exception"]


def test_no_prompt_answer_or_key_is_ever_logged(
    chat_process: ChatProcess, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    ask = Asker(chat_process.port, account.authorization)
    refusal_text = json.dumps({"error": {"message": f"cannot take {PROMPT}"}}).encode()
    engine.scripts = [
        Script(pieces=whole(ANSWER)),
        Script(pieces=whole(ANSWER)),
        Script(pieces=opening(ANSWER), ending=STREAM_BROKEN),
        Script(status=400, pieces=[refusal_text]),
        Script(status=500, pieces=[refusal_text]),
        Script(refusal=UNHEARD_OF),
        Script(pieces=[b'data: {"choices": "' + ANSWER.encode() + b'"}\n\n']),
        Script(pieces=[b"data: " + ANSWER.encode() + b"\n\n"]),
    ]
    messages = [{"role": "user", "content": PROMPT}]
    for stream in (False, True, True, False, False, True, False, True):
        ask(stream=stream, messages=messages)
    ask(temperature=PROMPT)
    ask.raw(b'{"' + PROMPT.encode())
    ask.raw(json.dumps(chat_body(**{PROMPT: PROMPT})).encode())
    request(chat_process.port, "POST", CHAT, headers={"Authorization": account.key}, body=chat_body(messages=MESSAGES))
    logged = chat_process.stop()
    assert "request settled" in logged
    for secret in (PROMPT, ANSWER, account.key, account.key[-38:]):
        assert secret not in logged


def test_a_client_that_leaves_while_it_sends_its_body_is_no_failure(
    chat_process: ChatProcess, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    ask = Asker(chat_process.port, account.authorization)
    with Connection(chat_process.port) as connection:
        connection.send("POST", CHAT, headers={**ask.headers, "Content-Length": "1000"}, body=b'{"mod')
    assert ask().status == 200
    assert "request failed" not in chat_process.stop()
