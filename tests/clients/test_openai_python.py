"""`openai` for Python, unmodified, with only its base URL and key changed."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator

import jsonschema
import openai
import pytest
from gateway.domain.errors import GatewayError, RateLimited, ServiceUnavailable
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from tests.clients.relay import relay
from tests.support.local_stack import CAPITAL, MODEL, RAMBLING, LocalStack

pytestmark = pytest.mark.anyio

ASK: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": CAPITAL[0]["content"]},
    {"role": "user", "content": CAPITAL[1]["content"]},
]
RAMBLE: list[ChatCompletionMessageParam] = [{"role": "user", "content": RAMBLING[0]["content"]}]
NEVER_ENDING = {"0": -100, "2": -100}
"""SmolLM2's tokens that end a text and a turn: without them only `max_tokens` ends an answer."""
ADD: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture
def client(stack: LocalStack, v1: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=stack.api_key, base_url=v1) as client:
        yield client


@pytest.fixture
async def async_client(stack: LocalStack, v1: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key=stack.api_key, base_url=v1) as client:
        yield client


def test_a_whole_answer_has_text_a_reason_and_counts(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=ASK, temperature=0)

    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == MODEL
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_the_async_client_gets_the_same(async_client: openai.AsyncOpenAI) -> None:
    answer = await async_client.chat.completions.create(model=MODEL, messages=ASK, temperature=0)

    assert "Paris" in (answer.choices[0].message.content or "")


def test_a_stream_gives_the_role_then_text_then_a_reason(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model=MODEL, messages=ASK, temperature=0, stream=True))

    assert chunks[0].choices[0].delta.role == "assistant"
    assert "Paris" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1


async def test_an_async_stream_ends_with_the_usage_chunk_that_was_asked_for(async_client: openai.AsyncOpenAI) -> None:
    stream = await async_client.chat.completions.create(
        model=MODEL, messages=RAMBLE, max_tokens=6, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    assert [chunk.choices == [] for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert [chunk.usage is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 6


def test_a_stream_that_is_left_early_frees_its_place(client: openai.OpenAI, stack: LocalStack) -> None:
    for _ in range(6):  # more than the model has slots
        with client.chat.completions.create(model=MODEL, messages=RAMBLE, max_tokens=400, stream=True) as stream:
            next(iter(stream))

    answer = client.chat.completions.create(model=MODEL, messages=ASK, temperature=0)
    assert answer.choices[0].finish_reason == "stop"


def test_the_stream_helper_collects_the_events_of_an_answer(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=ASK, temperature=0) as stream:
        texts = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()

    assert final.choices[0].message.content == "".join(texts)


def test_raw_responses_carry_the_request_id_and_the_limits(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=ASK, max_tokens=1, extra_headers={"x-request-id": "my-own-id-1"}, extra_body={"zeal": 1}
    )

    assert raw.headers["x-request-id"] == "my-own-id-1"
    assert raw.headers["x-ignored-params"] == "zeal"
    for what in ("requests", "tokens"):
        for how in ("limit", "remaining", "reset"):
            assert raw.headers[f"x-ratelimit-{how}-{what}"]
    assert raw.parse().choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    "refusal",
    [
        RateLimited("Too many.", reason="requests_per_minute_exceeded", retry_after_s=1),
        ServiceUnavailable("Full.", reason="line_full", retry_after_s=2),
    ],
    ids=["429", "503"],
)
def test_a_refusal_is_retried_after_the_time_it_names(
    stack: LocalStack, refusal: GatewayError, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="openai")
    with relay(stack.base_url, [refusal]) as url, openai.OpenAI(api_key=stack.api_key, base_url=f"{url}/v1") as client:
        answer = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=1)

    assert answer.choices[0].finish_reason == "length"
    waits = [record.getMessage() for record in caplog.records if "Retrying request" in record.getMessage()]
    assert len(waits) == 1
    assert f"{refusal.retry_after_s}.000000 seconds" in waits[0]


def test_an_account_over_its_open_requests_gets_in_once_one_has_ended(stack: LocalStack, v1: str) -> None:
    key = stack.open_account(plan="free")
    with openai.OpenAI(api_key=key, base_url=v1, max_retries=0) as client:
        ask = client.chat.completions
        streams = [
            ask.create(model=MODEL, messages=RAMBLE, max_tokens=400, stream=True, logit_bias=NEVER_ENDING)
            for _ in range(4)
        ]
        with pytest.raises(openai.RateLimitError) as refused:
            ask.create(model=MODEL, messages=ASK, max_tokens=1)
        for stream in streams:
            stream.close()
        patient = client.with_options(max_retries=5).chat.completions
        answer = patient.create(model=MODEL, messages=ASK, max_tokens=1)

    assert refused.value.response.headers["retry-after"] == "1"
    assert refused.value.type == "rate_limit_error"
    assert answer.choices[0].finish_reason == "length"


def test_errors_are_the_exceptions_that_their_status_means(client: openai.OpenAI, v1: str) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model=MODEL, messages=ASK, temperature=3)
    assert (bad.value.param, bad.value.type, bad.value.status_code) == ("temperature", "invalid_request_error", 400)

    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-nonesuch", messages=ASK)
    assert missing.value.type == "not_found_error"

    with (
        openai.OpenAI(api_key="sk-wrong", base_url=v1) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.chat.completions.create(model=MODEL, messages=ASK)

    with pytest.raises(openai.InternalServerError) as off:
        client.chat.completions.create(model="gemma-3-27b-it-qat", messages=ASK, stream=True)
    assert off.value.status_code == 503


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    ids = [model.id for model in client.models.list()]

    assert MODEL in ids
    assert "gemma-3-12b-it-qat" in ids
    assert client.models.retrieve(MODEL).owned_by == "huggingface"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-nonesuch")


def test_text_completions_come_whole_and_streamed(client: openai.OpenAI) -> None:
    whole = client.completions.create(model=MODEL, prompt=["One, two,", "Red, green,"], max_tokens=5, temperature=0)
    stream = client.completions.create(model=MODEL, prompt="One, two,", max_tokens=5, temperature=0, stream=True)

    assert [choice.index for choice in whole.choices] == [0, 1]
    assert "".join(chunk.choices[0].text for chunk in stream) == whole.choices[0].text
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 10


def test_a_forced_tool_is_called_with_arguments_that_validate(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "What is 2 plus 3?"}],
        tools=[ADD],
        tool_choice={"type": "function", "function": {"name": "add"}},
        max_tokens=200,
    )

    assert answer.choices[0].finish_reason == "tool_calls"
    call = (answer.choices[0].message.tool_calls or [])[0]
    assert call.type == "function"
    assert call.function.name == "add"
    jsonschema.validate(json.loads(call.function.arguments), ADD["function"]["parameters"])


def test_a_tools_result_can_be_sent_back(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "user", "content": "What is 2 plus 3?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":2,"b":3}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "5"},
        ],
        tools=[ADD],
        tool_choice="none",
        max_tokens=20,
    )

    assert answer.choices[0].message.content


def test_a_response_model_is_parsed(client: openai.OpenAI) -> None:
    class Capital(BaseModel):
        city: str
        country: str

    answer = client.chat.completions.parse(
        model=MODEL, messages=ASK, response_format=Capital, temperature=0, max_tokens=120
    )

    assert isinstance(answer.choices[0].message.parsed, Capital)


def test_n_logprobs_stop_and_seed_are_honoured(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=ASK,
        temperature=0,
        n=2,
        seed=5,
        stop=[" Paris"],
        logprobs=True,
        top_logprobs=2,
    )

    assert [choice.message.content for choice in answer.choices] == ["The capital of France is"] * 2
    for choice in answer.choices:
        assert choice.logprobs is not None
        scored = choice.logprobs.content or []
        assert "".join(token.token for token in scored).startswith("The capital of France")
        assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in scored)
