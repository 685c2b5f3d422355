"""Marked keys, prompts and answers: where each of them is afterwards, and where it never was.

What the chat function printed is looked at, every request to AWS, and every item, object and message that is left.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.engine_plug import Refusal
from tests.http.asking import CHAT, COMPLETIONS, chat_body
from tests.http.behind import Clerk
from tests.http.strangers.conftest import Door
from tests.support.backstage import Backstage
from tests.support.chat_process import ChatProcess
from tests.support.engine_pieces import opening, whole
from tests.support.http_client import Response, request
from tests.support.scripted_engine import STREAM_BROKEN, Script, ScriptedEngine
from tests.support.stack import MODEL, MODEL_NOT_SERVED, OpenedAccount, Stack
from tests.support.stored import stored

PROMPT, ANSWER, TOLD = "MARKEDPROMPT", "MARKEDANSWER", "MARKEDTOLD"
SECRET_LENGTH = 38
"""The secret of a key with its checksum: what a key has that its account and its own id don't."""

ECHO = json.dumps({"error": {"message": f"cannot take {PROMPT}"}}).encode()
SCRIPTS = [
    Script(pieces=whole(ANSWER)),
    Script(pieces=opening(ANSWER), ending=STREAM_BROKEN),
    Script(status=400, pieces=[ECHO]),
    Script(status=500, pieces=[ECHO]),
    Script(refusal=Refusal(418, "UnheardOfException", f"could not do {PROMPT}")),
    Script(pieces=[b'data: {"choices": "' + ANSWER.encode() + b'"}\n\n']),
    Script(pieces=[b"data: " + ANSWER.encode() + b"\n\n"]),
]


def left_in(stack: Stack) -> dict[str, bytes]:
    gateway = stack.make_gateway(**stack.functions["WorkerFunction"].environment)
    settings = gateway.settings
    return stored(gateway.clients.get, table=settings.table_name, bucket=settings.blob_bucket)


@pytest.fixture
def chat_process(stack: Stack, tmp_path: Path) -> Iterator[ChatProcess]:
    process = ChatProcess(stack.environment, log=tmp_path / "log")
    yield process
    process.stop()


def ask_in_every_way(ask: Any, engine: ScriptedEngine) -> list[Response]:
    """Good, broken and refused requests, whole and streamed, all with marked texts."""
    messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": PROMPT}]
    answers = []
    for script in SCRIPTS:
        for stream in (False, True):
            engine.scripts, engine.bodies = [script], []
            answers.append(ask(CHAT, chat_body(messages=messages, stream=stream, user=TOLD, metadata={"m": TOLD})))
            answers.append(ask(COMPLETIONS, {"model": MODEL, "prompt": PROMPT, "stream": stream}))
    bad = (
        {"model": MODEL_NOT_SERVED},
        {"model": PROMPT},
        {"temperature": PROMPT},
        {PROMPT: PROMPT},
        {"stop": []},
    )
    answers += [ask(CHAT, chat_body(messages=messages, **fields)) for fields in bad]
    answers.append(ask(CHAT, b'{"' + PROMPT.encode()))
    return answers


def test_of_what_is_asked_and_answered_at_once_nothing_is_kept_or_logged(
    stack: Stack, account: OpenedAccount, engine: ScriptedEngine, chat_process: ChatProcess
) -> None:
    answers = ask_in_every_way(
        lambda path, body: request(chat_process.port, "POST", path, headers=account.authorization, body=body), engine
    )
    assert {200, 400, 404, 500, 503} <= {answer.status for answer in answers}
    places = {"log": chat_process.stop().encode(), **left_in(stack)}
    assert b"request settled" in places["log"]
    assert account.id.encode() in places["table"]
    for place, content in places.items():
        for marked in (PROMPT, ANSWER, TOLD, account.key[-SECRET_LENGTH:]):
            assert marked.encode() not in content, (place, marked)


def run_jobs_and_batches(door: Door, stack: Stack, account: OpenedAccount, backstage: Backstage) -> None:
    clerk = Clerk(stack, account)
    body = chat_body(messages=[{"role": "user", "content": PROMPT}], user=TOLD)
    assert door("POST", "/v1/jobs", account.key, body).status == 202
    line = {"custom_id": "1", "method": "POST", "url": CHAT, "body": body}
    file_id = clerk.file_id(json.dumps(line).encode())
    batch = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    assert door("POST", "/v1/batches", account.key, batch).status == 200
    backstage.run_out()


def test_queued_texts_are_in_the_table_and_the_bucket_only_and_no_secret_is_anywhere(
    door: Door, stack: Stack, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    backstage = Backstage(stack, AWS_ENDPOINT_URL=door.aws.url)
    made = door("POST", "/v1/keys", account.key, {"name": "made"}).json()["key"]
    door.cost()
    ask_in_every_way(lambda path, body: door("POST", path, account.key, body), engine)
    engine.scripts, engine.bodies = [Script(pieces=whole(ANSWER))], []
    run_jobs_and_batches(door, stack, account, backstage)
    for method, path in door.operations():
        door(method, path.replace("{id}", "some-id"), made)
    left = left_in(stack)
    assert b"COUNT#" in left["table"], "the batch was run"
    requests = [*door.aws.sent(), *door.sagemaker.sent()]
    operations = {sent.operation for sent in requests}
    assert {"DynamoDB.UpdateItem", "DynamoDB.TransactWriteItems", "AmazonSQS.SendMessage"} <= operations
    assert any(operation.startswith("POST /endpoints/") for operation in operations)
    places = [(sent.operation, sent.head + b"\n" + sent.body) for sent in requests]
    for place, content in [*places, *left.items()]:
        for key in (account.key, made):
            assert key[-SECRET_LENGTH:].encode() not in content, place
        if place.startswith(("AmazonSQS", "AWSEvents", "queues")):
            assert [text for text in (PROMPT, ANSWER, TOLD) if text.encode() in content] == [], place
