"""`studiolm-admin --local` on what `make run` runs, with the real model."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import pytest
from gateway.config import Settings
from gateway.domain.jobs import Blob, Job, JobRef
from gateway.domain.keys import parse_key

from infra.local.credentials import CREDENTIALS, REGION, STACK_NAME, local_environment
from tests.cli.conftest import run_process
from tests.support.eventually import eventually
from tests.support.gateway import Gateway
from tests.support.local_stack import MODEL, LocalStack, bearer
from tests.support.stack import borrowed_environment

pytestmark = pytest.mark.model
PATIENCE_S = 120


def test_the_operator_of_a_local_stack_finds_it_by_its_port_until_it_stops(tmp_path: Path) -> None:
    home = {"XDG_CACHE_HOME": str(tmp_path)}
    stack = LocalStack.start(home)
    port = str(urlsplit(stack.base_url).port)
    try:
        opened = run_process("--local", "--port", port, "accounts", "create", "Ann", "--plan", "free", environment=home)
        assert opened.returncode == 0, opened.stderr
        account, key = (line.split("=", 1)[1] for line in opened.stdout.splitlines())
        headers = {"authorization": f"Bearer {key}"}
        request = {"model": MODEL, "max_tokens": 3, "messages": [{"role": "user", "content": "Hi"}]}
        with httpx.Client(base_url=stack.base_url, headers=headers, timeout=60) as client:
            told = client.post("/v1/chat/completions", json=request).raise_for_status().json()["usage"]
            shown = run_process("--local", "--port", port, "usage", account, "--json", environment=home)
            assert json.loads(shown.stdout)["today"]["total_tokens"] == told["total_tokens"]
            suspended = run_process("--local", "--port", port, "accounts", "suspend", account, environment=home)
            assert suspended.returncode == 0
            refused = client.post("/v1/chat/completions", json=request)
            assert (refused.status_code, refused.json()["error"]["reason"]) == (403, "account_suspended")
    finally:
        stack.stop()
    assert list((tmp_path / "studiolm").iterdir()) == []
    gone = run_process("--local", "--port", port, "accounts", "list", environment=home)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr == f"No local stack runs on port {port}: start it with `make run`, or name its --port.\n"


JOBS_QUEUE, DEAD = f"{STACK_NAME}-jobs-{MODEL}", f"{STACK_NAME}-JobsDeadLetterQueue"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path)}


@pytest.fixture
def running(home: dict[str, str]) -> Iterator[LocalStack]:
    stack = LocalStack.start(home)
    yield stack
    stack.stop()


def test_a_dead_letter_is_seen_and_sent_back_and_its_job_is_answered_once_the_cause_is_mended(
    running: LocalStack, home: dict[str, str]
) -> None:
    port = str(urlsplit(running.base_url).port)
    account_key = running.open_account(plan="pro")

    def admin(*arguments: str) -> str:
        done = run_process("--local", "--port", port, *arguments, environment=home)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def dead_letters() -> dict[str, Any]:
        queues: list[dict[str, Any]] = json.loads(admin("dlq", "list", "--json"))
        return next(queue for queue in queues if queue["name"] == DEAD)

    with aws_clients(running, "sqs", "s3") as (sqs, s3):
        queue_url = sqs.get_queue_url(QueueName=JOBS_QUEUE)["QueueUrl"]
        hide_what_is_received(sqs, queue_url, seconds=0)  # five attempts need no half hour then
        ref = leave_job_whose_text_is_lost(running, account_key, queue_url)
        assert eventually(lambda: dead_letters()["messages"] == 1, patience_s=PATIENCE_S)
        assert len(dead_letters()["sources"]) > 1
        body = json.dumps({"model": MODEL, "max_tokens": 3, "messages": [{"role": "user", "content": "Hi"}]})
        hide_what_is_received(sqs, queue_url, seconds=60)
        s3.put_object(Bucket=f"{STACK_NAME}-blobs", Key=f"jobs/{ref.job_id}", Body=body.encode())
    assert admin("dlq", "redrive", DEAD).splitlines() == ["MOVED=1", "LEFT=0"]

    with httpx.Client(base_url=running.base_url, headers=bearer(account_key), timeout=60) as client:
        assert eventually(
            lambda: client.get(f"/v1/jobs/{ref.job_id}").json()["status"] == "succeeded", patience_s=PATIENCE_S
        )
        today = client.get("/v1/usage").json()["today"]
    assert today["requests"] == 1
    assert dead_letters()["messages"] == 0


@contextmanager
def aws_clients(stack: LocalStack, *services: str) -> Iterator[list[Any]]:
    session = boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
    clients = [session.client(service, endpoint_url=stack.aws_endpoint_url) for service in services]
    yield clients
    for client in clients:
        client.close()


def hide_what_is_received(sqs: Any, queue_url: str, *, seconds: int) -> None:
    """From the next message on. A poll that is under way still has the old timeout: a message for nobody ends it."""
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"VisibilityTimeout": str(seconds)})
    sqs.send_message(QueueUrl=queue_url, MessageBody=json.dumps({"account_id": "nobody", "job_id": "job_of_nobody"}))
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def is_empty() -> bool:
        told = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=counts)["Attributes"]
        return all(int(count) == 0 for count in told.values())

    assert eventually(is_empty, patience_s=PATIENCE_S)


def leave_job_whose_text_is_lost(stack: LocalStack, account_key: str, queue_url: str) -> JobRef:
    """A job of the account in table and queue; the bucket does not have what it says."""
    key = parse_key(account_key)
    assert key is not None
    ref = JobRef(account_id=key.account_id, job_id="job_0000000000000000000000009")
    now_s = int(time.time())
    job = Job(
        ref=ref,
        key_id=key.key_id,
        key_hash=key.hash,
        endpoint="/v1/chat/completions",
        model=MODEL,
        request=Blob(stored=f"jobs/{ref.job_id}"),
        created_s=now_s,
        expires_s=now_s + 3600,
    )
    settings = Settings(
        table_name=f"{STACK_NAME}-Table",
        outbox_queue_url="",
        stack_name=STACK_NAME,
        jobs_queue_url_prefix=queue_url.removesuffix(MODEL),
        intake_queue_url=queue_url,
        callbacks_queue_url=queue_url,
        blob_bucket=f"{STACK_NAME}-blobs",
    )
    with borrowed_environment({**local_environment({}), "AWS_ENDPOINT_URL": stack.aws_endpoint_url}):
        gateway = Gateway(settings)
        asyncio.run(gateway.jobs.add(job))
        asyncio.run(gateway.job_queue.send_job(gateway.catalogue.models[MODEL], ref))
    return ref
