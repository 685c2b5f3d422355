"""Every documented parameter either holds, on the real model, or is a 400 that names it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from gateway.config import Settings
from openai.types.chat import ChatCompletion

from tests.http.asking import Asker
from tests.support.catalogue_gateway import CatalogueGateway
from tests.support.engine_pieces import whole
from tests.support.golden_streams import accumulated
from tests.support.local_stack import CAPITAL
from tests.support.real_engine import serve_model
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.sse_reader import read_events, text_of
from tests.support.stack import SECOND_MODEL, OpenedAccount, Stack, borrowed_environment

GREEDY: dict[str, Any] = {"messages": CAPITAL, "temperature": 0}
"""Answered with "The capital of France is Paris."."""


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with serve_model(context_tokens=512) as url:
        yield url


def texts(ask: Asker, **fields: Any) -> list[str]:
    response = ask(**fields)
    assert response.status == 200, response.body
    return [choice["message"]["content"] for choice in response.json()["choices"]]


@pytest.mark.model
def test_the_same_seed_gives_the_same_answer_and_another_another(real: Asker) -> None:
    asked = {"messages": CAPITAL, "temperature": 1.5, "max_tokens": 12}
    first, again, other = (texts(real, seed=seed, **asked) for seed in (11, 11, 12))
    assert first == again
    assert first != other


@pytest.mark.model
def test_n_choices_differ_by_seed_and_pay_for_the_prompt_once(real: Asker) -> None:
    asked: dict[str, Any] = {"messages": CAPITAL, "temperature": 1.5, "max_tokens": 12, "seed": 11}
    one, three = (real(n=n, **asked).json() for n in (1, 3))
    told = [choice["message"]["content"] for choice in three["choices"]]
    assert [choice["index"] for choice in three["choices"]] == [0, 1, 2]
    assert told[0] == one["choices"][0]["message"]["content"]
    assert len(set(told)) > 1
    assert three["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]


@pytest.mark.model
@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_across_tokens_is_never_leaked(real: Asker, stream: bool) -> None:
    asked = {**GREEDY, "stop": ["never", "tal of Fra", "either", "nor"]}
    if stream:
        events = read_events(real.stream(**asked)[1])
        text, reason = text_of(events), events[-2]["choices"][0]["finish_reason"]
    else:
        choice = real(**asked).json()["choices"][0]
        text, reason = choice["message"]["content"], choice["finish_reason"]
    assert (text, reason) == ("The capi", "stop")


@pytest.mark.model
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("alternatives", [None, 0, 1, 3, 20])
def test_logprobs_come_as_openai_tells_them(real: Asker, alternatives: int | None, stream: bool) -> None:
    asked = {**GREEDY, "max_tokens": 4, "logprobs": True, "top_logprobs": alternatives}
    if stream:
        answer = accumulated(read_events(real.stream(**asked)[1])[:-1])
    else:
        answer = ChatCompletion.model_validate(real(**asked).json())
    (choice,) = answer.choices
    assert choice.logprobs is not None
    tokens = choice.logprobs.content or []
    assert "".join(token.token for token in tokens) == choice.message.content
    assert len(tokens) == 4
    for token in tokens:
        assert token.logprob <= 0
        assert bytes(token.bytes or []) == token.token.encode()
        assert len(token.top_logprobs) == (alternatives or 0)
        assert [other.logprob for other in token.top_logprobs] == sorted(
            (other.logprob for other in token.top_logprobs), reverse=True
        )
        assert "id" not in (token.model_extra or {})


@pytest.mark.model
def test_without_logprobs_none_come(real: Asker) -> None:
    assert "logprobs" not in real(**GREEDY, max_tokens=2).json()["choices"][0]


@pytest.mark.model
def test_a_bias_takes_a_token_out_of_the_answer_and_another_puts_one_in(real: Asker, model: str) -> None:
    the, london = (token_of(model, word) for word in ("The", " London"))
    assert texts(real, **GREEDY, max_tokens=6)[0].startswith("The")
    assert not texts(real, **GREEDY, max_tokens=6, logit_bias={str(the): -100})[0].startswith("The")
    assert texts(real, **GREEDY, max_tokens=3, logit_bias={str(london): 100}) == [" London London London"]


def token_of(model: str, word: str) -> int:
    """The id of the model's one token for a word."""
    request = urllib.request.Request(
        f"{model}/tokenize", json.dumps({"content": word}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        (token,) = json.load(response)["tokens"]
    return int(token)


@pytest.mark.model
@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"min_p": 1.0}, {"top_p": 0.01}, {"top_p": 0}])
def test_sampling_that_leaves_one_token_is_greedy_at_any_heat(real: Asker, narrow: dict[str, Any]) -> None:
    hot = {"messages": CAPITAL, "temperature": 2, "max_tokens": 7}
    assert texts(real, **hot, **narrow) == texts(real, **GREEDY, max_tokens=7)


@pytest.mark.model
def test_a_frequency_penalty_changes_what_is_repeated(real: Asker) -> None:
    asked = {"messages": [{"role": "user", "content": "Say la la la."}], "temperature": 0, "max_tokens": 30}
    assert texts(real, **asked) != texts(real, **asked, frequency_penalty=2, presence_penalty=2)


@pytest.mark.model
def test_max_completion_tokens_wins_over_max_tokens(real: Asker) -> None:
    usage = real(**GREEDY, max_tokens=1, max_completion_tokens=3).json()["usage"]
    assert usage["completion_tokens"] == 3


def test_user_metadata_and_stream_options_change_nothing_and_are_not_told_to_the_engine(
    ask: Asker, engine: ScriptedEngine
) -> None:
    response = ask(user="ada", metadata={"order": "7"}, stream_options={"include_usage": True}, store=True)
    assert response.status == 200
    assert response.headers["x-ignored-params"] == "store"
    assert not {"user", "metadata", "store"} & json.loads(engine.bodies[0]).keys()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"seed": 1.5}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"stop": []}, "stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": [""]}, "stop[0]"),
        ({"logprobs": 1}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"logit_bias": {"1": 101}}, "logit_bias.1"),
        ({"logit_bias": {"the": 1}}, "logit_bias"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"user": 7}, "user"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"stream_options": True}, "stream_options"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"min_p": 1.1}, "min_p"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 2**31}, "top_k"),
        ({"top_p": 2}, "top_p"),
        ({"temperature": 2.1}, "temperature"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"function_call": "auto"}, "function_call"),
    ],
)
def test_what_can_not_hold_is_a_400_that_names_it(
    ask: Asker, engine: ScriptedEngine, fields: dict[str, Any], param: str
) -> None:
    response = ask(**fields)
    assert (response.status, response.error["param"]) == (400, param), response.body
    assert engine.bodies == []


@pytest.mark.model
def test_a_prompt_over_the_context_is_a_400_with_both_numbers_that_holds_and_bills_nothing(
    real: Asker, stack: Stack, account: OpenedAccount
) -> None:
    for stream in (False, True):
        response = real(messages=[{"role": "user", "content": "word " * 900}], stream=stream)
        assert (response.status, response.error["reason"]) == (400, "context_length_exceeded")
        assert " 512." in response.error["message"]
    told = stack.account_of(account)
    assert (told.tokens_today, dict(told.open)) == (0, {})
    assert stack.line().open == {}
    assert [(record["prompt_tokens"], record["completion_tokens"]) for record in stack.usage_records(account)] == [
        (0, 0)
    ] * 2


@pytest.mark.model
def test_what_the_context_leaves_is_the_most_that_an_answer_gets(real: Asker) -> None:
    body = real(
        messages=[{"role": "user", "content": "word " * 440}],
        max_tokens=4000,
        temperature=0,
        logit_bias={"2": -100},  # its end of turn: this answer would never end
    ).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["total_tokens"] <= 512


@pytest.fixture(scope="module")
def vllm_port(stack: Stack) -> int:
    """A chat application to which the second model speaks vLLM's dialect."""
    stack.run(stack.gateway.lines.describe(SECOND_MODEL, status="ready", copies=1, slots=4))
    gateway = CatalogueGateway(Settings.from_environment(stack.environment), SECOND_MODEL, dialect="vllm")
    with borrowed_environment(stack.environment):
        gateway.warm_up()
    return stack.serve(gateway.chat_app()).port


def vllm_refusal(prompt_tokens: int) -> Script:
    message = (
        "This model's maximum context length is 512 tokens. However, you requested "
        f"{prompt_tokens + 400} tokens ({prompt_tokens} in the messages, 400 in the completion)."
    )
    return Script(status=400, pieces=[json.dumps({"object": "error", "message": message, "code": 400}).encode()])


def test_vllm_s_refusal_of_max_tokens_is_one_more_try_with_what_is_left(
    stack: Stack, account: OpenedAccount, vllm_port: int
) -> None:
    engine = stack.second_engine.engine = ScriptedEngine([vllm_refusal(300), Script(pieces=whole("Hi"))])
    response = Asker(vllm_port, account.authorization)(model=SECOND_MODEL, max_tokens=400)
    assert response.status == 200
    assert [json.loads(body).get("max_tokens") for body in engine.bodies] == [400, None]


def test_vllm_s_refusal_of_a_prompt_is_final_and_bills_nothing(
    stack: Stack, account: OpenedAccount, vllm_port: int
) -> None:
    engine = stack.second_engine.engine = ScriptedEngine([vllm_refusal(600)])
    response = Asker(vllm_port, account.authorization)(model=SECOND_MODEL, max_tokens=400)
    assert (response.status, response.error["reason"]) == (400, "context_length_exceeded")
    assert "600" in response.error["message"]
    assert "512" in response.error["message"]
    assert len(engine.bodies) == 1
    assert stack.account_of(account).tokens_today == 0
    assert stack.line(SECOND_MODEL).open == {}
