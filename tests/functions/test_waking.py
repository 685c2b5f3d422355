"""A sleeping model is woken by a request that it refuses, and then answers it and the job that waited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infra.local.context import Context
from infra.local.envelopes import sqs_event
from tests.functions.loading import Functions, Handler, read_event
from tests.support.engine_pieces import whole
from tests.support.eventually import eventually
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import MODEL, OpenedAccount, Stack, endpoint_of

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "stream": False}


@pytest.fixture
def engine(stack: Stack) -> ScriptedEngine:
    engine = ScriptedEngine([Script(pieces=whole("Good", " morning"))])
    stack.engine.engine = engine
    return engine


@pytest.fixture
def sagemaker(stack: Stack) -> Iterator[Any]:
    """SageMaker's control plane, by its own client; the model has a copy again afterwards."""
    client = stack.gateway.clients.get("sagemaker")
    yield client
    if copies(client) == (0, 0):
        set_copies(client, 1)
    assert eventually(lambda: copies(client) == (1, 1))
    stack.run(stack.gateway.watch_models([stack.gateway.catalogue.models[MODEL]]))


def set_copies(client: Any, count: int) -> None:
    client.update_inference_component_runtime_config(
        InferenceComponentName=endpoint_of(MODEL), DesiredRuntimeConfig={"CopyCount": count}
    )


def copies(client: Any) -> tuple[int, int]:
    """Desired and current copies."""
    told = client.describe_inference_component(InferenceComponentName=endpoint_of(MODEL))["RuntimeConfig"]
    return told["DesiredCopyCount"], told["CurrentCopyCount"]


class Jobs:
    """The model's job queue, its messages handed to the worker as an event source mapping does."""

    def __init__(self, stack: Stack, worker: Handler, context: Context) -> None:
        self._sqs = stack.gateway.clients.get("sqs")
        prefix = stack.functions["WorkerFunction"].environment["JOBS_QUEUE_URL_PREFIX"]
        self._url = prefix + stack.gateway.catalogue.models[MODEL].resource_slug
        self._worker, self._context = worker, context
        self._sqs.purge_queue(QueueUrl=self._url)  # of what other tests of this stack left to be done later

    def take(self) -> list[dict[str, Any]]:
        received = self._sqs.receive_message(
            QueueUrl=self._url, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"]
        )
        messages: list[dict[str, Any]] = received.get("Messages", [])
        for message in messages:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return messages

    def deliver(self, messages: list[dict[str, Any]]) -> None:
        arn = "arn:aws:sqs:us-east-1:123456789012:" + self._url.rpartition("/")[2]
        assert self._worker(sqs_event(messages, queue_arn=arn), self._context) == {"batchItemFailures": []}

    def delayed(self) -> int:
        name = "ApproximateNumberOfMessagesDelayed"
        told = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
        return int(told["Attributes"][name])


def test_a_refused_request_wakes_the_model_which_then_answers_it_and_the_job_that_waited(
    stack: Stack, account: OpenedAccount, functions: Functions, context: Context, engine: ScriptedEngine, sagemaker: Any
) -> None:
    upkeep, jobs = functions.handler("UpkeepFunction"), Jobs(stack, functions.handler("WorkerFunction"), context)
    chat_url = f"http://127.0.0.1:{stack.chat.port}/v1/chat/completions"
    jobs_url = f"http://127.0.0.1:{stack.account.port}/v1/jobs"

    def ask() -> httpx.Response:
        return httpx.post(chat_url, json=BODY, headers=account.authorization, timeout=30)

    def told(event: str) -> dict[str, Any]:
        state: dict[str, Any] = upkeep(read_event(event), context)["models"][MODEL]
        return state

    # asleep, and nobody wants it: upkeep lets it sleep
    set_copies(sagemaker, 0)
    assert told("schedule_upkeep") == {"status": "warming", "copies": 0}
    assert copies(sagemaker) == (0, 0)

    # a request is refused and a job waits; nothing ran, and neither cost anything
    refused = ask()
    assert (refused.status_code, refused.json()["error"]["reason"]) == (503, "model_warming")
    assert int(refused.headers["retry-after"]) > 0
    job = httpx.post(jobs_url, json=BODY, headers=account.authorization).raise_for_status().json()
    messages = jobs.take()
    jobs.deliver(messages)
    assert (jobs.take(), jobs.delayed()) == ([], 1), "it waits as a new message"
    assert engine.bodies == []
    assert [record["total_tokens"] for record in stack.usage_records(account)] == [0]

    # upkeep sees that it is wanted and asks SageMaker for a copy, which takes its time
    assert told("schedule_upkeep") == {"status": "warming", "copies": 0}
    assert copies(sagemaker)[0] == 1
    assert ask().status_code == 503, "not before the copy is there"

    # SageMaker tells that the component is in service
    assert eventually(lambda: copies(sagemaker) == (1, 1))
    assert told("sagemaker_component_state_change") == {"status": "ready", "copies": 1}
    answered = ask()
    assert answered.status_code == 200
    assert answered.json()["choices"][0]["message"]["content"] == "Good morning"

    # and the job's message, when its delay is over
    jobs.deliver(messages)
    shown = httpx.get(f"{jobs_url}/{job['id']}", headers=account.authorization).json()
    assert (shown["status"], shown["result"]["choices"][0]["message"]["content"]) == ("succeeded", "Good morning")
    assert len(engine.bodies) == 2
    assert sorted(record["total_tokens"] for record in stack.usage_records(account)) == [0, 0, 12, 12]
