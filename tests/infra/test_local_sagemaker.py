"""The SageMaker stand-in, called by the real botocore."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError

from infra.local.credentials import CREDENTIALS, REGION
from infra.local.engine_plug import Refusal, StreamFault
from infra.local.http_server import ConnectionCut
from infra.local.standin import start_sagemaker_standin
from tests.support.scripted_engine import (
    INTERNAL_DEPENDENCY,
    INTERNAL_STREAM_FAILURE,
    MODEL_NOT_READY,
    NO_CAPACITY,
    SERVICE_UNAVAILABLE,
    STREAM_BROKEN,
    TIMED_OUT,
    Script,
    ScriptedEngine,
)

NAME = "studiolm-scripted"
EVENTS = [b'data: {"delta":"Gr\xc3\xbc\xc3\x9fe"}\n\n', b"data: [DONE]\n\n"]


@contextmanager
def client_of(
    engine: ScriptedEngine, *, service: str = "sagemaker-runtime", secret: str | None = None, key: str | None = None
) -> Iterator[Any]:
    stand_in = start_sagemaker_standin({NAME: engine})
    client = boto3.client(
        service,
        region_name=REGION,
        endpoint_url=stand_in.url,
        aws_access_key_id=key or CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=secret or CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}, read_timeout=5, proxies={}),
    )
    try:
        yield client
    finally:
        client.close()
        stand_in.stop()


def invoke(client: Any, **changes: Any) -> Any:
    arguments = {"EndpointName": NAME, "InferenceComponentName": NAME, "Body": b'{"messages":[]}'} | changes
    return client.invoke_endpoint_with_response_stream(ContentType="application/json", **arguments)


def payload(response: Any) -> list[bytes]:
    return [event["PayloadPart"]["Bytes"] for event in response["Body"]]


def eventually(condition: Any, within_s: float = 3.0) -> bool:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


def test_the_engine_gets_the_body_and_the_caller_its_parts() -> None:
    engine = ScriptedEngine([Script(pieces=EVENTS)])
    with client_of(engine) as client:
        response = invoke(client, Body=b'{"stream":true}')
        assert response["ContentType"] == "text/event-stream"
        assert payload(response) == EVENTS
    assert engine.bodies == [b'{"stream":true}']


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_parts_can_be_cut_anywhere_and_no_byte_is_lost(shared: tuple[ScriptedEngine, Any], sizes: list[int]) -> None:
    engine, client = shared
    engine.scripts, engine.bodies = [Script(pieces=EVENTS, part_sizes=sizes)], []
    parts = payload(invoke(client))
    assert b"".join(parts) == b"".join(EVENTS)
    assert len(parts[0]) == min(sizes[0], len(parts[0]))


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[ScriptedEngine, Any]]:
    engine = ScriptedEngine([Script()])
    with client_of(engine) as client:
        yield engine, client


def test_a_part_arrives_before_the_next_one_is_made() -> None:
    engine = ScriptedEngine([Script(pieces=EVENTS[:1], silence_s=30)])
    with client_of(engine) as client:
        response = invoke(client)
        assert next(iter(response["Body"]))["PayloadPart"]["Bytes"] == EVENTS[0]
        response["Body"].close()


def test_the_buffered_call_gives_one_body_with_the_engines_content_type() -> None:
    engine = ScriptedEngine([Script(pieces=[b'{"a":', b"1}"], content_type="application/json")])
    with client_of(engine) as client:
        response = client.invoke_endpoint(EndpointName=NAME, InferenceComponentName=NAME, Body=b"{}")
        assert (response["Body"].read(), response["ContentType"]) == (b'{"a":1}', "application/json")


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(MODEL_NOT_READY, 429), (SERVICE_UNAVAILABLE, 503), (INTERNAL_DEPENDENCY, 530), (NO_CAPACITY, 400)],
)
def test_a_refusal_before_the_stream_has_its_status_and_code(refusal: Refusal, status: int) -> None:
    with client_of(ScriptedEngine([Script(refusal=refusal)])) as client, pytest.raises(ClientError) as caught:
        invoke(client)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["Error"] == {"Code": refusal.code, "Message": refusal.message}


def test_an_engines_error_is_a_model_error_with_its_status_and_words() -> None:
    script = Script(status=400, pieces=[b'{"error":', b'{"code":400}}'], content_type="application/json")
    with client_of(ScriptedEngine([script])) as client, pytest.raises(client.exceptions.ModelError) as caught:
        invoke(client)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert caught.value.response["OriginalStatusCode"] == 400
    assert caught.value.response["OriginalMessage"] == '{"error":{"code":400}}'


@pytest.mark.parametrize("fault", [STREAM_BROKEN, TIMED_OUT, INTERNAL_STREAM_FAILURE], ids=lambda fault: fault.message)
def test_a_fault_in_the_stream_comes_after_the_parts_before_it(fault: StreamFault) -> None:
    engine = ScriptedEngine([Script(pieces=EVENTS[:1], ending=fault)])
    with client_of(engine) as client, closing(invoke(client)["Body"]) as body:
        events = iter(body)
        assert next(events)["PayloadPart"]["Bytes"] == EVENTS[0]
        with pytest.raises(EventStreamError) as caught:
            next(events)
    assert caught.value.response["Error"]["Code"] == fault.kind
    assert caught.value.response["Error"]["Message"] == fault.message


def test_a_cut_connection_is_no_end_of_the_stream() -> None:
    with client_of(ScriptedEngine([Script(pieces=EVENTS[:1], ending=ConnectionCut())])) as client:
        response = invoke(client)
        with closing(response["Body"]), pytest.raises(ProtocolError):
            payload(response)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"EndpointName": "studiolm-other"}, "Endpoint studiolm-other of account 123456789012 not found."),
        ({"InferenceComponentName": "studiolm-other"}, "studiolm-other"),
    ],
)
def test_an_unknown_endpoint_or_component_is_a_validation_error(changes: dict[str, str], words: str) -> None:
    with client_of(ScriptedEngine([Script()])) as client, pytest.raises(ClientError) as caught:
        invoke(client, **changes)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert words in caught.value.response["Error"]["Message"]


def test_the_component_has_to_be_named() -> None:
    with client_of(ScriptedEngine([Script()])) as client, pytest.raises(ClientError, match="Inference Component Name"):
        client.invoke_endpoint(EndpointName=NAME, Body=b"{}")


@pytest.mark.parametrize(
    ("credentials", "code"),
    [({"secret": "another"}, "InvalidSignatureException"), ({"key": "another"}, "UnrecognizedClientException")],
)
def test_a_wrong_signature_is_forbidden(credentials: dict[str, str], code: str) -> None:
    engine = ScriptedEngine([Script()])
    with client_of(engine, **credentials) as client, pytest.raises(ClientError) as caught:
        invoke(client)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert engine.bodies == []


def test_a_body_that_was_changed_after_signing_is_forbidden() -> None:
    engine = ScriptedEngine([Script(pieces=EVENTS)])

    def swap(request: Any, **_: Any) -> None:
        request.body = b'{"messages":{}}'

    with client_of(engine) as client:
        client.meta.events.register_last("before-send.sagemaker-runtime.*", swap)
        with pytest.raises(ClientError, match="signature we calculated does not match"):
            invoke(client)
    assert engine.bodies == []


def test_an_unsigned_request_is_forbidden() -> None:
    stand_in = start_sagemaker_standin({})
    connection = http.client.HTTPConnection(str(urlsplit(stand_in.url).netloc))
    connection.request("POST", f"/endpoints/{NAME}/invocations", b"{}")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("x-amzn-errortype")) == (403, "MissingAuthenticationTokenException")
    connection.close()
    stand_in.stop()


def test_a_caller_that_leaves_ends_the_engines_work_at_once() -> None:
    engine = ScriptedEngine([Script(pieces=EVENTS[:1], silence_s=60)])
    with client_of(engine) as client:
        response = invoke(client)
        next(iter(response["Body"]))
        assert engine.open_calls == 1
        # What a process that dies does: the socket closes, whatever was left to read.
        response["Body"]._raw_stream._connection.sock.shutdown(socket.SHUT_RDWR)
        assert eventually(lambda: engine.open_calls == 0)
        response["Body"].close()


def test_a_connection_is_used_again_after_an_answer() -> None:
    engine = ScriptedEngine([Script(pieces=EVENTS)])
    with client_of(engine) as client:
        assert [payload(invoke(client)) for _ in range(3)] == [EVENTS] * 3


def test_a_served_component_is_in_service_with_one_copy() -> None:
    with client_of(ScriptedEngine([Script()]), service="sagemaker") as client:
        component = client.describe_inference_component(InferenceComponentName=NAME)
        endpoint = client.describe_endpoint(EndpointName=NAME)
    assert component["InferenceComponentStatus"] == endpoint["EndpointStatus"] == "InService"
    assert component["RuntimeConfig"] == {"DesiredCopyCount": 1, "CurrentCopyCount": 1}


def test_a_component_that_is_not_served_cannot_be_found() -> None:
    with client_of(ScriptedEngine([Script()]), service="sagemaker") as client:
        with pytest.raises(ClientError, match="Could not find inference component") as caught:
            client.describe_inference_component(InferenceComponentName="studiolm-other")
        with pytest.raises(ClientError, match="Could not find endpoint"):
            client.describe_endpoint(EndpointName="studiolm-other")
    assert caught.value.response["Error"]["Code"] == "ValidationException"
