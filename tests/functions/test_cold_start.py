"""What a function has loaded once Lambda has imported it: what it builds, and nothing of the others
(docs/decisions/0020)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from tests.support.engine_pieces import whole
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import MODEL, OpenedAccount, Stack

COSTLY = {
    "aws_lambda_powertools",
    "boto3",
    "botocore",
    "fastapi",
    "httpx",
    "jmespath",
    "mangum",
    "s3transfer",
    "starlette",
    "urllib3",
    "uvicorn",
}
"""Packages that cost a start something, or did once."""

POWERTOOLS = {"aws_lambda_powertools", "botocore", "jmespath"}
"""It looks into botocore, and loads little of it."""

LOADED = {
    "ChatFunction": {"starlette"},
    "AccountFunction": {"mangum", "starlette"},
    "WorkerFunction": POWERTOOLS,
    "IntakeFunction": POWERTOOLS,
    "OutboxFunction": POWERTOOLS,
    "UpkeepFunction": set(),
    "CallbackFunction": {"httpx", *POWERTOOLS},
}
"""Which of them each function has."""

ORDERING = "choices generation images orders ports queueing searching settling"
"""What making an order brings with it."""

USE_CASES = {
    "ChatFunction": f"access {ORDERING} folding",
    "AccountFunction": f"access {ORDERING} batching enqueueing filing keeping keyring reporting requests showing",
    "WorkerFunction": f"{ORDERING} folding keeping requests working",
    "IntakeFunction": f"{ORDERING} batching enqueueing filing finishing intake keeping requests showing splitting",
    "OutboxFunction": "ports settling",
    "UpkeepFunction": "batching filing finishing keeping ports settling upkeep",
    "CallbackFunction": "calling ports showing",
}
"""The modules of `application`."""

BASE = "_errors accounts bus clients items lines table threads wire"
BOOKS = "job_items ledger outbox"
QUEUED = "batch_items blobs job_items jobs queues"

ADAPTERS = {
    "ChatFunction": f"{BASE} {BOOKS} sagemaker",
    "AccountFunction": f"{BASE} {QUEUED}",
    "WorkerFunction": f"{BASE} {BOOKS} {QUEUED} sagemaker",
    "IntakeFunction": f"{BASE} {QUEUED}",
    "OutboxFunction": f"{BASE} {BOOKS} outbox_reading",
    "UpkeepFunction": f"{BASE} {BOOKS} {QUEUED} fleet",
    "CallbackFunction": f"{BASE} {QUEUED}",
}
"""The modules of `adapters/aws`."""


def loaded(stack: Stack, logical_id: str) -> set[str]:
    """The modules of a process that has imported this function, under its own variables and no others."""
    entry = "app" if logical_id == "ChatFunction" else "handler"
    program = f"import {entry}, json, sys; print(json.dumps(list(sys.modules)))"
    function = stack.functions[logical_id]
    return set(json.loads(run(program, folder=function.folder, environment=function.environment).stdout))


def run(program: str, *arguments: str, folder: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """What a fresh interpreter in this folder makes of a program."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def below(package: str, names: set[str]) -> set[str]:
    """The first name below a package of each module in it."""
    return {name.removeprefix(f"{package}.").partition(".")[0] for name in names if name.startswith(f"{package}.")}


def test_a_function_loads_what_it_builds_and_nothing_of_the_others(stack: Stack) -> None:
    found = {logical_id: loaded(stack, logical_id) for logical_id in stack.functions}
    assert {logical_id: COSTLY & names for logical_id, names in found.items()} == LOADED
    for package, expected in (("gateway.application", USE_CASES), ("gateway.adapters.aws", ADAPTERS)):
        assert {logical_id: below(package, names) for logical_id, names in found.items()} == {
            logical_id: set(modules.split()) for logical_id, modules in expected.items()
        }
    for logical_id, names in found.items():
        assert below("gateway.bootstrap", names) - {"parts"} == {logical_id.removesuffix("Function").lower()}


REQUESTS = """
import asyncio, json, sys
import app

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]

async def ask(stream):
    body = json.dumps({"model": sys.argv[1], "messages": MESSAGES, "stream": stream}).encode()
    headers = [(b"authorization", sys.argv[2].encode()), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": headers}
    incoming, sent = asyncio.Queue(), []
    incoming.put_nowait({"type": "http.request", "body": body, "more_body": False})
    async def send(message):
        sent.append(message)
    await app.app(scope, incoming.get, send)
    assert sent[0]["status"] == 200, sent
    assert b"Hello" in b"".join(message.get("body", b"") for message in sent), sent

async def first_requests():
    await ask(False)
    await ask(True)

before = set(sys.modules)
asyncio.run(first_requests())
print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)
"""


def test_the_first_chat_finds_everything_loaded(stack: Stack, account: OpenedAccount) -> None:
    stack.engine.engine = ScriptedEngine([Script(pieces=whole("Hello"))])
    authorization, folder = account.authorization["Authorization"], stack.functions["ChatFunction"].folder
    done = run(REQUESTS, MODEL, authorization, folder=folder, environment=stack.environment)
    assert json.loads(done.stderr) == []
