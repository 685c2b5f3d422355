"""`python -m infra.local` as a person runs it: real processes, the real model."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.local.credentials import CREDENTIALS, REGION
from infra.local.settings import ROOT
from tests.support.local_stack import model_file

pytestmark = pytest.mark.model

TEMPLATE = """
Globals: {Function: {Environment: {Variables: {TABLE_NAME: !Ref Table, OUTBOX_QUEUE_URL: !Ref Queue, STACK_NAME: x}}}}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{AttributeName: pk, KeyType: HASH}, {AttributeName: sk, KeyType: RANGE}]
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}, {AttributeName: sk, AttributeType: S}]
  Queue:
    Type: AWS::SQS::Queue
    Properties: {VisibilityTimeout: 1, RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 2}}
  Dead: {Type: AWS::SQS::Queue}
  Web:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/web/, Events: {All: {Type: Api, Properties: {Path: "/{proxy+}", Method: ANY}}}}
  Work:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/work/
      Timeout: 5
      Environment: {Variables: {OWN: mine}}
      Events:
        Clock: {Type: Schedule, Properties: {Schedule: rate(1 minute)}}
        Jobs: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn, FunctionResponseTypes: [ReportBatchItemFailures]}}
"""
WEB = """
import os
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


def environment(request):
    return JSONResponse(dict(os.environ))


app = Starlette(routes=[Route("/environment", environment)])
"""
WORK = """
import json
import os

import boto3

table = boto3.client("dynamodb")


def put(pk, sk, event):
    item = {"pk": {"S": pk}, "sk": {"S": sk}, "event": {"S": json.dumps(event)}, "own": {"S": os.environ["OWN"]}}
    table.put_item(TableName=os.environ["TABLE_NAME"], Item=item)


def handler(event, context):
    if "Records" not in event:
        return put("clock", context.function_name, event)
    bodies = {record["messageId"]: record["body"] for record in event["Records"]}
    if "explode" in bodies.values():
        raise ValueError("exploded")
    for id_, body in bodies.items():
        put("job", body, event)
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_, body in bodies.items() if body == "bad"]}
"""


RUN_PROJECT = """
import os
import sys
from dataclasses import replace
from pathlib import Path

from infra.local.settings import read_settings
from infra.local.supervisor import run

run(replace(read_settings(os.environ), root=Path(sys.argv[1])), os.environ)
"""


START_AND_WAIT = """
import subprocess
import sys

command = subprocess.Popen([sys.executable, "-m", "infra.local"])
print(f"COMMAND={command.pid}", flush=True)
command.wait()
"""


class Stack:
    """A running command, with what it printed so far."""

    def __init__(self, *, temporary: Path, root: Path = ROOT, program: str | None = None, **environment: str) -> None:
        command = ["-m", "infra.local"] if program is None else ["-c", program, str(root)]
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(temporary), "PORT": "0", "AWS_PROFILE": "production"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.ended = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.lines.append(line.rstrip("\n"))
        self.ended.set()

    def ready(self) -> Stack:
        assert eventually(lambda: self.lines[-1:] == ["READY"] or self.ended.is_set(), within_s=90)
        if self.ended.is_set():
            raise AssertionError(self.finish()[1])
        return self

    def value(self, name: str) -> str:
        [value] = [line.partition("=")[2] for line in self.lines if line.startswith(f"{name}=")]
        return value

    def children(self, of: int | None = None) -> list[int]:
        pid = of or self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def finish(self) -> tuple[int, str]:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            words = stderr.read()
        status = self.process.wait(20)
        self._reader.join()
        return status, words

    def get(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            self.value("BASE_URL") + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.value('API_KEY')}", "Content-Type": "application/json"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.load(answer)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.value("AWS_ENDPOINT_URL"),
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )


def eventually(condition: Callable[[], object], *, within_s: float = 15) -> bool:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def stacks() -> Iterator[list[Stack]]:
    """What a test starts, ended whatever happens to the test."""
    started: list[Stack] = []
    yield started
    for stack in started:
        if stack.process.poll() is None:
            stack.process.terminate()
            stack.finish()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name, file, code in (("web", "app.py", WEB), ("work", "handler.py", WORK)):
        (root / "functions" / name).mkdir(parents=True)
        (root / "functions" / name / file).write_text(code)
    (root / "template.yaml").write_text(TEMPLATE)
    return root


def test_the_command_says_ready_answers_and_leaves_nothing_when_it_is_told_to_stop(
    stacks: list[Stack], tmp_path: Path
) -> None:
    stacks.append(Stack(temporary=tmp_path))
    stack = stacks[0].ready()
    assert [line.partition("=")[0] for line in stack.lines[-4:]] == ["BASE_URL", "API_KEY", "AWS_ENDPOINT_URL", "READY"]
    question = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "What is the capital of France?"},
    ]
    asked = {"model": "smollm2-135m-instruct", "messages": question, "temperature": 0, "max_tokens": 20}
    assert "Paris" in stack.get("/v1/chat/completions", asked)["choices"][0]["message"]["content"]
    assert "smollm2-135m-instruct" in [model["id"] for model in stack.get("/v1/models")["data"]]
    children = stack.children()
    assert len(children) == 4
    stack.process.send_signal(signal.SIGINT)
    assert stack.finish() == (0, "")
    assert all(map(is_gone, children))
    assert list(tmp_path.iterdir()) == []


def test_handlers_get_their_events_and_nothing_outlives_a_killed_supervisor(
    stacks: list[Stack], project: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "state"
    temporary.mkdir()
    stacks.append(Stack(temporary=temporary, root=project, program=RUN_PROJECT))
    stack = stacks[0].ready()

    seen = stack.get("/environment")
    assert (seen["TABLE_NAME"], seen["AWS_ENDPOINT_URL"]) == ("studiolm-Table", stack.value("AWS_ENDPOINT_URL"))
    assert seen["AWS_ENDPOINT_URL_SAGEMAKER"] == seen["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]
    assert "AWS_PROFILE" not in seen

    table, sqs = stack.client("dynamodb"), stack.client("sqs")

    def item(pk: str, sk: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = table.get_item(
            TableName="studiolm-Table", Key={"pk": {"S": pk}, "sk": {"S": sk}}
        ).get("Item")
        return found

    clock = item("clock", "Work")
    assert clock is not None
    assert clock["own"] == {"S": "mine"}
    assert json.loads(clock["event"]["S"])["detail-type"] == "Scheduled Event"

    url = sqs.get_queue_url(QueueName="studiolm-Queue")["QueueUrl"]
    dead = sqs.get_queue_url(QueueName="studiolm-Dead")["QueueUrl"]

    def left(queue: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return sum(map(int, sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()))

    for body in ("good", "bad", "explode"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    assert eventually(lambda: item("job", "good") is not None)
    assert eventually(lambda: left(dead) == 2), "what failed twice is in the dead-letter queue, what succeeded is not"
    assert eventually(lambda: left(url) == 0)

    children = stack.children()
    stack.process.kill()
    stack.finish()
    assert eventually(lambda: all(map(is_gone, children)))
    assert eventually(lambda: list(temporary.iterdir()) == [])


def test_nothing_outlives_the_process_that_started_the_command(stacks: list[Stack], tmp_path: Path) -> None:
    stacks.append(Stack(temporary=tmp_path, program=START_AND_WAIT))
    stack = stacks[0].ready()
    command = int(stack.value("COMMAND"))
    processes = [command, *stack.children(command)]
    assert len(processes) == 5
    stack.process.kill()
    stack.finish()
    assert eventually(lambda: all(map(is_gone, processes)))
    assert list(tmp_path.iterdir()) == []


def refused(stacks: list[Stack], temporary: Path, **environment: str) -> str:
    """The one sentence of a stack that does not start, after a look at what it left."""
    stacks.append(Stack(temporary=temporary, **environment))
    status, words = stacks[-1].finish()
    assert status == 1
    assert words.count("\n") == 1, words
    assert [path.name for path in temporary.iterdir() if path.name.startswith("studiolm")] == []
    return words


def test_a_taken_port_is_one_sentence(stacks: list[Stack], tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert refused(stacks, tmp_path, PORT=port) == (
            f"Port {port} is taken by another program; choose another with PORT=.\n"
        )


def test_model_files_that_cannot_be_served_are_one_sentence(stacks: list[Stack], tmp_path: Path) -> None:
    model = "smollm2-135m-instruct"
    whole = model_file().read_bytes()
    # Its header and the start of its last tensor are there: only llama.cpp can tell.
    (tmp_path / "cut.gguf").write_bytes(whole[:-1000])
    (tmp_path / "text.gguf").write_text("not a model")
    assert "text.gguf is not a GGUF file" in refused(stacks, tmp_path, MODEL_PATHS=f"{model}={tmp_path}/text.gguf")
    assert "No such file" in refused(stacks, tmp_path, MODEL_PATHS=f"{model}={tmp_path}/nothing.gguf")
    assert "cut.gguf cannot be loaded" in refused(stacks, tmp_path, MODEL_PATHS=f"{model}={tmp_path}/cut.gguf")
    assert "not in the catalogue" in refused(stacks, tmp_path, MODEL_PATHS=f"mistral={tmp_path}/cut.gguf")


def test_a_key_of_another_form_is_one_sentence(stacks: list[Stack], tmp_path: Path) -> None:
    assert "API_KEY is not a key of this API" in refused(stacks, tmp_path, API_KEY="sk-mine")


def test_a_platform_without_the_engine_is_one_sentence(stacks: list[Stack], tmp_path: Path) -> None:
    # What an import finds where no wheel was built for the machine.
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('no build for this platform')")
    assert "The engine (xllamacpp) is not installed; it has no build for" in refused(
        stacks, tmp_path, PYTHONPATH=str(tmp_path)
    )
