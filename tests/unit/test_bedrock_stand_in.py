"""The upstream's Bedrock as botocore's own client sees it: real framing, the shapes of the service's model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.session import Session

from benchmarks.bedrock import MODEL_ID
from benchmarks.processes import plain_environment, run
from infra.local.credentials import CREDENTIALS, REGION

ASKED = {
    "modelId": MODEL_ID,
    "messages": [{"role": "user", "content": [{"text": "Count."}]}],
    "inferenceConfig": {"maxTokens": 3},
}
USAGE = {"inputTokens": 20, "outputTokens": 3, "totalTokens": 23}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with run([sys.executable, "-m", "benchmarks.upstream"], environment=plain_environment()) as upstream:
        yield upstream.url


def client(service: str, url: str) -> Any:
    """botocore's, which parses what it gets by its model of the service."""
    return Session().create_client(
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def test_a_stream_s_events_come_in_their_order_and_with_their_fields(url: str) -> None:
    events = list(client("bedrock-runtime", url).converse_stream(**ASKED)["stream"])
    assert [next(iter(event)) for event in events] == [
        "messageStart",
        *["contentBlockDelta"] * 3,
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert [event["contentBlockDelta"]["delta"]["text"] for event in events[1:4]] == ["w0 ", "w1 ", "w2 "]
    assert events[-2]["messageStop"]["stopReason"] == "end_turn"
    assert events[-1]["metadata"]["usage"] == USAGE


def test_a_whole_answer_has_the_same_words(url: str) -> None:
    answer = client("bedrock-runtime", url).converse(**ASKED)
    assert answer["output"]["message"]["content"] == [{"text": "w0 w1 w2 "}]
    assert answer["usage"] == USAGE


def test_the_model_is_listed_as_one_that_streams_and_has_no_profile(url: str) -> None:
    bedrock = client("bedrock", url)
    (model,) = bedrock.list_foundation_models(byOutputModality="TEXT")["modelSummaries"]
    assert (model["modelId"], model["responseStreamingSupported"]) == (MODEL_ID, True)
    assert model["modelLifecycle"] == {"status": "ACTIVE"}
    pages = bedrock.get_paginator("list_inference_profiles").paginate(maxResults=1000, typeEquals="APPLICATION")
    assert [page["inferenceProfileSummaries"] for page in pages] == [[]]
