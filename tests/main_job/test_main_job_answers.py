"""The main job, text: asked of the real model through the whole local stack."""

from __future__ import annotations

import asyncio
from itertools import pairwise, permutations
from typing import Any

import httpx
import pytest

from tests.main_job.conftest import Asker
from tests.support.local_stack import CAPITAL, MODEL, RAMBLING, LocalStack

pytestmark = [pytest.mark.model, pytest.mark.anyio]


def _content(body: dict[str, Any]) -> str:
    text: str = body["choices"][0]["message"]["content"]
    return text


def _joined(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


def test_the_capital_of_france_is_paris(asker: Asker) -> None:
    body = asker.whole(messages=CAPITAL, temperature=0)

    assert "Paris" in _content(body)
    assert body["model"] == MODEL
    assert body["choices"][0]["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]


@pytest.mark.parametrize(
    "messages", [CAPITAL, RAMBLING, [{"role": "user", "content": "Say ¡olé! 🎉"}]], ids=["short", "long", "unicode"]
)
def test_a_streams_deltas_join_to_the_buffered_answer(asker: Asker, messages: list[dict[str, str]]) -> None:
    asked: dict[str, Any] = {"messages": messages, "temperature": 0, "seed": 7, "max_tokens": 48}
    asker.whole(**asked)  # the engine then has the prompt cached for both: else the last digits of its sums differ

    whole, chunks = asker.whole(**asked), asker.stream(**asked)

    assert _joined(chunks) == _content(whole)
    assert chunks[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert chunks[-1]["usage"] == whole["usage"]


def test_a_sampled_answer_is_the_same_for_the_same_seed_and_another_for_another(asker: Asker) -> None:
    def answer(seed: int) -> str:
        return _content(asker.whole(messages=RAMBLING, temperature=1.5, seed=seed, max_tokens=24))

    answer(1)
    first = answer(1)

    assert answer(1) == first
    assert {answer(seed) for seed in (2, 3)} != {first}


def test_five_max_tokens_are_five_tokens_and_length(asker: Asker) -> None:
    body = asker.whole(messages=RAMBLING, temperature=0, max_tokens=5)

    assert body["usage"]["completion_tokens"] == 5
    assert body["choices"][0]["finish_reason"] == "length"


def test_a_stop_string_ends_the_answer_and_is_not_in_it(asker: Asker) -> None:
    asked: dict[str, Any] = {"messages": CAPITAL, "temperature": 0, "stop": [" is Paris"]}

    whole, chunks = asker.whole(**asked), asker.stream(**asked)

    assert _content(whole) == _joined(chunks) == "The capital of France"
    assert whole["choices"][0]["finish_reason"] == "stop"


def test_a_max_tokens_beyond_every_context_is_clipped_and_no_error(asker: Asker) -> None:
    body = asker.whole(messages=CAPITAL, temperature=0, max_tokens=10**9)

    assert body["choices"][0]["finish_reason"] == "stop"


def test_several_choices_pay_for_their_prompt_once(asker: Asker) -> None:
    one = asker.whole(messages=RAMBLING, max_tokens=6)
    three = asker.whole(messages=RAMBLING, max_tokens=6, n=3)

    assert [choice["index"] for choice in three["choices"]] == [0, 1, 2]
    assert three["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]
    assert three["usage"]["completion_tokens"] == 18


def test_a_model_without_a_file_is_refused_with_what_to_do_about_it(asker: Asker) -> None:
    answer = asker.post(model="gemma-3-12b-it-qat", messages=CAPITAL)

    assert answer.status_code == 503
    error = answer.json()["error"]
    assert error["reason"] == "model_off"
    assert "gemma-3-12b-it-qat" in error["message"]
    assert int(answer.headers["retry-after"]) > 0


async def test_four_streams_at_once_interleave(stack: LocalStack) -> None:
    order: list[int] = []

    async def listen(number: int, http: httpx.AsyncClient) -> None:
        body = {"model": MODEL, "messages": RAMBLING, "temperature": 0, "max_tokens": 32, "stream": True}
        async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                if '"content":' in line and '"role"' not in line:
                    order.append(number)  # noqa: PERF401 - one by one: the order over all streams is what is seen

    async with httpx.AsyncClient(base_url=stack.base_url, headers=stack.headers, timeout=90) as http:
        await asyncio.gather(*(listen(number, http) for number in range(4)))

    first = {number: order.index(number) for number in range(4)}
    last = {number: len(order) - 1 - order[::-1].index(number) for number in range(4)}
    assert all(first[one] < last[other] for one, other in permutations(range(4), 2))
    # not one after the other with a little overlap: the stream changes more often than four streams in turn would
    assert sum(one != other for one, other in pairwise(order)) > 16
