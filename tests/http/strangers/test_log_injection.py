"""Whatever a client sends, the log stays lines of JSON that say what we said, and headers stay headers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.engine_plug import Refusal
from tests.http.asking import CHAT, chat_body
from tests.support.chat_process import ChatProcess
from tests.support.http_client import Connection, Response, request
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import OpenedAccount, Stack

FORGED = '{"level":"INFO","message":"request settled","account":"forged"}'
HOSTILE = [
    f"x\n{FORGED}",
    f"x\r\n{FORGED}",
    f'x"}}\n{FORGED}',
    f"x\u2028{FORGED}",
    "\x1b[2J\x1b[31mforged",
    "\x00forged",
    "\x85forged",
    "\u202eforged",
]


@pytest.fixture
def chat_process(stack: Stack, tmp_path: Path) -> Iterator[ChatProcess]:
    process = ChatProcess(stack.environment, log=tmp_path / "log")
    yield process
    process.stop()


def test_hostile_texts_in_every_field_forge_no_line(
    chat_process: ChatProcess, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    def asked(headers: dict[str, str] | None = None, **fields: Any) -> Response:
        told = {**account.authorization, **(headers or {})}
        return request(chat_process.port, "POST", CHAT, headers=told, body=chat_body(**fields))

    answers = []
    for text in HOSTILE:
        for fields in ({"user": text}, {"metadata": {text: text}}, {"model": text}, {"stop": text}, {text: text}):
            answers.append(asked(**fields))
            engine.scripts, engine.bodies = [Script(refusal=Refusal(418, "Unheard", text.replace("\x00", "")))], []
            answers.append(asked(**fields))
            engine.scripts, engine.bodies = [Script()], []
    for answer in answers:
        assert not [name for name in answer.headers if "forged" in name]
        assert "forged" not in answer.headers.get("x-ignored-params", "")
    log = chat_process.stop()
    assert "request failed" in log
    for line in log.split("\n")[:-1]:
        json.loads(line)
        assert "forged" not in line
        assert line.isascii()


@pytest.mark.parametrize(
    "id_",
    [
        b"a b",
        b'"}',
        b"\x1b[31m",
        b"a\tb",
        b"\xe2\x80\xa8",
        b"x" * 129,
        b"%0a%0d",
        b"${jndi:ldap://x}",
        b"<script>",
        b"a,b",
    ],
)
def test_a_request_id_that_is_not_plain_is_replaced(chat_process: ChatProcess, id_: bytes) -> None:
    with Connection(chat_process.port) as connection:
        connection.send_raw(b"GET /health HTTP/1.1\r\nHost: x\r\nx-request-id: " + id_ + b"\r\n\r\n")
        answer = connection.read_response()
    if answer.status == 200:  # what is no header at all never gets that far
        assert answer.headers["x-request-id"].encode("latin-1") != id_
        assert answer.headers["x-request-id"].isalnum()
    assert "x-request-id" in answer.headers or answer.status == 400


@pytest.mark.parametrize("path", ["/v1/%0aforged", "/v1/%1b%5b31m", '/v1/"}{', "/v1/%e2%80%a8", "/v1/%ff"])
def test_a_path_comes_back_on_one_line_of_plain_characters(
    chat_process: ChatProcess, account: OpenedAccount, path: str
) -> None:
    answer = request(chat_process.port, "GET", path, headers=account.authorization)
    assert answer.status == 404
    message = answer.error["message"]
    assert message.isprintable()
    assert chat_process.stop() == ""
