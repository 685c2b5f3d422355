"""What a whole run printed, and what it left in AWS: no secret anywhere, no text in a log or a message."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from infra.local.credentials import CREDENTIALS, REGION
from tests.support.eventually import eventually
from tests.support.local_stack import MODEL, LocalStack, bearer
from tests.support.stored import stored

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

PROMPT, TOLD, HOOK = "Repeat the word MARKEDPROMPT.", "MARKEDTOLD", "https://hooks.invalid/MARKEDHOOK"
BODY = {
    "model": MODEL,
    "messages": [{"role": "user", "content": PROMPT}],
    "max_tokens": 12,
    "temperature": 0,
    "user": TOLD,
    "metadata": {"about": TOLD},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the stack's processes write what they print."""
    return tmp_path


@pytest.fixture
def own_stack(folder: Path) -> Iterator[LocalStack]:
    running = LocalStack.start({"TMPDIR": str(folder)})
    yield running
    running.stop()


def in_time(condition: Callable[[], bool]) -> bool:
    """Minutes, for a real model on a busy machine."""
    return any(eventually(condition) for _ in range(9))


def run_everything(http: httpx.Client) -> list[str]:
    """Chats, a text completion, refusals, a job with a callback that fails, and a batch; what was answered."""
    chat = "/v1/chat/completions"
    whole = http.post(chat, json=BODY).raise_for_status().json()["choices"][0]["message"]["content"]
    http.post(chat, json={**BODY, "stream": True}).raise_for_status()
    http.post("/v1/completions", json={"model": MODEL, "prompt": PROMPT, "max_tokens": 4}).raise_for_status()
    refused = [http.post(chat, json={**BODY, **spoilt}).status_code for spoilt in ({"n": PROMPT}, {"model": PROMPT})]
    assert refused == [400, 404]
    job = http.post("/v1/jobs", json={**BODY, "callback_url": HOOK}).raise_for_status().json()["id"]
    line = json.dumps({"custom_id": "1", "method": "POST", "url": chat, "body": BODY}).encode()
    file_id = http.post("/v1/files", data={"purpose": "batch"}, files={"file": line}).raise_for_status().json()["id"]
    order = {"input_file_id": file_id, "endpoint": chat, "completion_window": "24h"}
    batch = http.post("/v1/batches", json=order).raise_for_status().json()["id"]

    def has_ended(path: str, *statuses: str) -> bool:
        return http.get(path).json()["status"] in statuses

    assert in_time(lambda: has_ended(f"/v1/jobs/{job}", "succeeded"))
    assert in_time(lambda: has_ended(f"/v1/batches/{batch}", "completed"))
    return [whole, http.get(f"/v1/jobs/{job}").json()["result"]["choices"][0]["message"]["content"]]


def test_a_whole_run_tells_no_secret_and_logs_no_text(own_stack: LocalStack, folder: Path) -> None:
    opener = own_stack.open_account(plan="pro")
    with httpx.Client(base_url=own_stack.base_url, headers=bearer(opener), timeout=90) as http:
        made = http.post("/v1/keys", json={"name": "made", "scopes": ["chat"]}).raise_for_status().json()["key"]
    with httpx.Client(base_url=own_stack.base_url, headers=bearer(made), timeout=90) as http:
        answers = run_everything(http)

    def logs() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.glob("studiolm-local-*/*.log")}

    assert in_time(lambda: b"callback failed" in logs()["events.log"])
    clients: dict[str, Any] = {}

    def client_of(service: str) -> Any:
        session = boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        clients.setdefault(service, session.client(service, endpoint_url=own_stack.aws_endpoint_url))
        return clients[service]

    (bucket,) = (entry["Name"] for entry in client_of("s3").list_buckets()["Buckets"])
    (table,) = client_of("dynamodb").list_tables()["TableNames"]
    left = stored(client_of, table=table, bucket=bucket)
    for client in clients.values():
        client.close()
    seen = logs()
    assert {"aws.log", "engine.log", "events.log", "gateway.log"} <= seen.keys()
    assert b"request settled" in seen["gateway.log"]
    assert b"request settled" in seen["events.log"]
    assert made.split("-")[2].encode() in left["table"]
    for place, content in {**seen, **left}.items():
        for key in (opener, made):
            assert key[-38:].encode() not in content, place
    texts = [b"MARKEDPROMPT", TOLD.encode(), b"MARKEDHOOK", *(answer.encode() for answer in answers)]
    for place, content in {**seen, "queues": left["queues"]}.items():
        assert [text for text in texts if text in content] == [], place
