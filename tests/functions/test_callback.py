"""The callback function: the end of a job reaches the client's host, signed, and no host of ours."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from hmac import new as new_hmac
from typing import Any

import pytest
from gateway.adapters.aws.queues import CALLBACKS
from gateway.config import Settings
from gateway.domain.jobs import Blob, Callback, Job, JobEnd, JobRef
from gateway.domain.keys import parse_key

from infra.local.context import Context
from tests.functions.loading import Functions, Handler, read_event
from tests.support.loopback_gateway import LoopbackGateway
from tests.support.stack import MODEL, OpenedAccount, Stack, borrowed_environment
from tests.support.web_host import NAME, Authority, WebHost, answer, book, make_authority

ANSWER = Blob(inline='{"id":"chatcmpl-1"}')


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture
def host(authority: Authority) -> Iterator[WebHost]:
    host = WebHost(authority.server(), {"/hook": answer(204)})
    yield host
    host.stop()


@pytest.fixture
def job(stack: Stack, account: OpenedAccount, host: WebHost) -> Job:
    """A job that has ended and whose client waits at `host`."""
    key = parse_key(account.key)
    assert key is not None
    now_s = int(stack.gateway.clock.now_s())
    job = Job(
        ref=JobRef(account_id=account.id, job_id=f"job_{stack.gateway.ids.request_id()}"),
        key_id=key.key_id,
        key_hash=key.hash,
        endpoint="/v1/chat/completions",
        model=MODEL,
        request=Blob(inline="{}"),
        created_s=now_s - 5,
        expires_s=now_s + 3600,
        callback_url=host.url("/hook"),
    )
    return ended(stack, job)


def ended(stack: Stack, job: Job, *, answer: Blob = ANSWER) -> Job:
    """The job, written and ended."""
    jobs, now_s = stack.gateway.jobs, int(stack.gateway.clock.now_s())
    end = JobEnd(ref=job.ref, status="succeeded", answer=answer, http_status=200, ended_s=now_s)
    stack.run(jobs.add(job))
    assert stack.run(jobs.end(end))
    written = stack.run(jobs.read(job.ref))
    assert written is not None
    return written


@pytest.fixture
def handler(stack: Stack, authority: Authority, host: WebHost) -> Iterator[Handler]:
    """The function, with loopback for the internet and a private address for `inner.example`."""
    with borrowed_environment(environment_of(stack)):
        web = authority.web(host, resolve=book({"inner.example": ["10.0.0.1"]}))
        yield LoopbackGateway(Settings.from_environment(environment_of(stack)), web).callback_handler()


def environment_of(stack: Stack) -> dict[str, str]:
    return {**stack.environment, **stack.functions["CallbackFunction"].environment}


def elsewhere(job: Job, url: str) -> Job:
    """Another job like this, not ended yet, whose client waits at `url`."""
    ref = replace(job.ref, job_id=f"{job.ref.job_id}-2")
    return replace(job, ref=ref, callback_url=url, status="queued", ended_s=None, answer=None, http_status=None)


def event_of(job: Job, *, attempt: int = 1) -> dict[str, Any]:
    (record,) = read_event("sqs_callback")["Records"]
    body = CALLBACKS.dump_json(Callback(job.ref, attempt)).decode()
    return {"Records": [record | {"body": body}]}


def example(name: str, job: Job) -> dict[str, Any]:
    """The example event, of this job where it names the first."""
    text = json.dumps(read_event(name)).replace("localaccount", job.ref.account_id)
    event: dict[str, Any] = json.loads(text.replace("job_0000000000000000000000001", job.ref.job_id))
    return event


def delayed(stack: Stack) -> int:
    """How many callbacks wait for their next attempt."""
    url = environment_of(stack)["CALLBACKS_QUEUE_URL"]
    name = "ApproximateNumberOfMessagesDelayed"
    attributes = stack.gateway.clients.get("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    return int(attributes["Attributes"][name])


NOTHING_FAILED: dict[str, list[Any]] = {"batchItemFailures": []}


def test_the_end_of_a_job_is_told_as_its_route_shows_it_and_signed_with_the_keys_hash(
    stack: Stack, account: OpenedAccount, host: WebHost, job: Job, handler: Handler, context: Context
) -> None:
    before = delayed(stack)
    assert handler(event_of(job), context) == NOTHING_FAILED
    (received,) = host.received
    assert json.loads(received.body) == stack.run(stack.gateway.enqueue.show(job))
    headers = received.headers
    assert headers["webhook-id"] == job.ref.job_id
    signed = f"{job.ref.job_id}.{headers['webhook-timestamp']}.".encode() + received.body
    secret = hashlib.sha256(account.key.encode()).digest()
    expected = b64encode(new_hmac(secret, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert delayed(stack) == before


def test_a_large_result_is_told_as_a_link(
    stack: Stack, host: WebHost, job: Job, handler: Handler, context: Context
) -> None:
    large = ended(stack, elsewhere(job, host.url("/hook")), answer=Blob(stored="jobs/large.json"))
    assert handler(event_of(large), context) == NOTHING_FAILED
    told = json.loads(host.received[0].body)
    assert told["result"] is None
    assert "jobs/large.json" in told["result_url"]


def test_a_host_that_refuses_is_tried_again_later_and_in_the_end_no_more(
    stack: Stack, host: WebHost, job: Job, handler: Handler, context: Context
) -> None:
    host.answers["/hook"] = answer(503)
    before = delayed(stack)
    assert handler(event_of(job), context) == NOTHING_FAILED
    assert delayed(stack) == before + 1
    assert handler(event_of(job, attempt=5), context) == NOTHING_FAILED
    assert delayed(stack) == before + 1
    assert len(host.received) == 2


@pytest.mark.parametrize("name", ["inner.example", "other.example"])
def test_a_host_that_may_not_or_can_not_be_trusted_hears_nothing_and_is_tried_again(
    stack: Stack, host: WebHost, job: Job, handler: Handler, context: Context, name: str
) -> None:
    inner = ended(stack, elsewhere(job, host.url("/hook", name=name)))
    before = delayed(stack)
    assert handler(event_of(inner), context) == NOTHING_FAILED
    assert host.received == []
    assert delayed(stack) == before + 1


def test_the_function_as_deployed_calls_no_address_of_its_own_network(
    stack: Stack, functions: Functions, host: WebHost, job: Job, context: Context
) -> None:
    inner = ended(stack, elsewhere(job, "https://127.0.0.1:8443/hook"))
    before = delayed(stack)
    assert functions.handler("CallbackFunction")(event_of(inner), context) == NOTHING_FAILED
    assert delayed(stack) == before + 1


def test_a_broken_message_comes_back_alone(host: WebHost, job: Job, handler: Handler, context: Context) -> None:
    event = event_of(job)
    broken = event["Records"][0] | {"messageId": "broken", "body": "{}"}
    answered = handler({"Records": [broken, *event["Records"]]}, context)
    assert answered == {"batchItemFailures": [{"itemIdentifier": "broken"}]}
    assert len(host.received) == 1


def test_a_callback_delivered_again_is_made_again_under_the_same_id(
    host: WebHost, job: Job, handler: Handler, context: Context
) -> None:
    for name in ("sqs_callback", "sqs_callback_duplicate"):
        assert handler(example(name, job), context) == NOTHING_FAILED
    assert [received.headers["webhook-id"] for received in host.received] == [job.ref.job_id] * 2


@pytest.mark.parametrize(("name", "broken", "heard"), [("sqs_callback_bad", 0, 0), ("sqs_callback_partial", 1, 1)])
def test_of_example_messages_the_one_that_can_not_be_read_stays(
    host: WebHost, job: Job, handler: Handler, context: Context, name: str, broken: int, heard: int
) -> None:
    event = example(name, job)
    failures = handler(event, context)["batchItemFailures"]
    assert failures == [{"itemIdentifier": event["Records"][broken]["messageId"]}]
    assert len(host.received) == heard
