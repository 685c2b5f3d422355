"""The published `studiolm` package, unmodified."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import studiolm  # type: ignore[import-untyped]  # the published package has no types

from tests.support.local_stack import CAPITAL, MODEL, RAMBLING, LocalStack


@pytest.fixture
def client(stack: LocalStack) -> Iterator[studiolm.Client]:
    with studiolm.Client(api_key=stack.api_key, base_url=stack.base_url) as client:
        yield client


def test_a_whole_answer_is_a_dict_with_the_text(client: studiolm.Client) -> None:
    answer = client.chat.completions.create(MODEL, CAPITAL, temperature=0)

    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert answer["usage"]["total_tokens"] > 0


def test_a_stream_is_dicts_whose_deltas_join_to_the_answer(client: studiolm.Client) -> None:
    chunks = list(client.chat.completions.create(MODEL, CAPITAL, temperature=0, stream=True))

    text = "".join(chunk["choices"][0].get("delta", {}).get("content", "") for chunk in chunks)
    assert text == "The capital of France is Paris."
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_the_environment_can_name_key_and_server(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIOLM_API_KEY", stack.api_key)
    monkeypatch.setenv("STUDIOLM_BASE_URL", stack.base_url)

    with studiolm.Client() as client:
        assert client.chat.completions.create(MODEL, CAPITAL, max_tokens=1)["usage"]["completion_tokens"] == 1


def test_unknown_keywords_travel_and_are_honoured(client: studiolm.Client) -> None:
    answer = client.chat.completions.create(MODEL, CAPITAL, temperature=0, stop=[" Paris"])

    assert answer["choices"][0]["message"]["content"] == "The capital of France is"


def test_models_are_a_list_of_objects_with_ids(client: studiolm.Client) -> None:
    assert MODEL in [model["id"] for model in client.models.list()]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_refusal_is_an_http_error_before_anything_is_yielded(client: studiolm.Client, stream: bool) -> None:
    with pytest.raises(httpx.HTTPStatusError) as refused:
        list(client.chat.completions.create("gpt-nonesuch", RAMBLING, stream=stream))

    assert refused.value.response.status_code == 404


def test_a_wrong_key_is_a_401(stack: LocalStack) -> None:
    with (
        studiolm.Client(api_key="sk-wrong", base_url=stack.base_url) as stranger,
        pytest.raises(httpx.HTTPStatusError) as refused,
    ):
        stranger.models.list()

    assert refused.value.response.status_code == 401
