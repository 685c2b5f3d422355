"""The part of an order that a search stands before: the question, the findings, what it may use."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from gateway.application.generation import Order
from gateway.application.orders import QUESTION_TOKENS, Orders
from gateway.application.searching import Findings, SearchOrder
from gateway.catalogue import load_catalogue
from gateway.domain.admission import estimate_prompt_tokens
from gateway.domain.chat import parse_chat_request
from gateway.domain.search import ImageResult, WebResult
from gateway.domain.search_prompt import decision_messages, decision_schema, query_messages, query_schema
from gateway.domain.shaping import PlainShaper
from hypothesis import given
from hypothesis import strategies as st

from tests.support.accounts import new_customer, new_model
from tests.support.fakes import NumberedIds

MODELS = [
    replace(model, context_tokens=8192, max_completion_tokens=4096)
    for model in (new_model("small"), new_model("other", dialect="vllm"))
]
KEY = new_customer().key
TODAY = date(2026, 11, 23)
PLACE = {"type": "approximate", "city": "x" * 80, "region": "y" * 80, "country": "z" * 80}
PAGE = WebResult(title="t" * 300, url="https://a.example/" + "p" * 2000, snippet="s" * 2000, source="test", date="2026")
IMAGE = ImageResult(url="https://i.example/", thumbnail_url="https://i.example/", source_url="https://i.example/",
                    title="t" * 300)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
FOUND = st.sampled_from(
    [
        Findings(status="searched", today=TODAY, results=[PAGE] * 10),
        Findings(status="searched", today=TODAY, results=[]),
        Findings(status="searched", today=TODAY, images=[IMAGE] * 4),
        Findings(status="searched", today=TODAY, images=[]),
        Findings(status="not_needed", today=TODAY),
        Findings(status="unavailable", today=TODAY),
    ]
)


def ordered(**fields: Any) -> tuple[Order, SearchOrder]:
    orders = Orders(replace(load_catalogue(), models={model.id: model for model in MODELS}), NumberedIds())
    request = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "web_search": "auto", **fields}
    order = orders.of_chat(parse_chat_request(json.dumps(request).encode()), key=KEY)
    assert order.search is not None
    return order, order.search


def estimated(body: Any) -> int:
    messages = body["messages"]
    return estimate_prompt_tokens(sum(len(one["content"].encode()) for one in messages), messages=len(messages))


@given(
    found=FOUND,
    texts=st.lists(TEXTS, min_size=1, max_size=5),
    n=st.integers(1, 3),
    form=st.sampled_from([None, "json"]),
)
def test_the_reservation_covers_the_question_and_the_answer_whatever_is_found(
    found: Findings, texts: list[str], n: int, form: str | None
) -> None:
    messages = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]
    options = {"user_location": PLACE}
    order, search = ordered(messages=messages, n=n, web_search_options=options, response_format=form, max_tokens=50)
    asked = decision_messages(search.conversation, TODAY, search.plan.place)
    question = search.question(asked, decision_schema())
    answers = search.answer(found)
    most = estimated(question) + question["max_tokens"] + estimated(answers[0].body) + n * 50
    assert most <= order.reserved_tokens


@pytest.mark.parametrize(("model", "constraint"), [("small", "grammar"), ("other", "response_format")])
def test_the_question_is_short_and_constrained_in_the_words_of_each_engine(model: str, constraint: str) -> None:
    _, search = ordered(model=model, stop=["x"], seed=1, top_k=3, frequency_penalty=2, n=3)
    question = search.question(query_messages(search.conversation, TODAY), query_schema())
    assert constraint in question
    assert (question["max_tokens"], question["temperature"], question["frequency_penalty"]) == (QUESTION_TOKENS, 0, 0)
    assert not {"stop", "seed", "top_k", "logit_bias"} & question.keys()
    assert (question["model"], question["stream"]) == (model, True)


def test_the_question_is_not_told_the_form_of_the_answer() -> None:
    _, search = ordered(response_format="json")
    question = search.question(query_messages(search.conversation, TODAY), query_schema())
    assert [message["role"] for message in question["messages"]] == ["user"]


@pytest.mark.parametrize("status", ["not_needed", "unavailable"])
def test_without_findings_the_answer_is_asked_and_shaped_as_if_search_had_not_been_named(status: Any) -> None:
    order, search = ordered(n=2, seed=4)
    answers = search.answer(Findings(status=status, today=TODAY))
    assert [answer.body for answer in answers] == [choice.body for choice in order.choices]
    assert [answer.index for answer in answers] == [0, 1]
    assert isinstance(answers[0].new_shaper(), PlainShaper)


def test_each_choice_after_a_search_has_its_own_seed_and_pays_the_prompt_once() -> None:
    _, search = ordered(n=2, seed=4)
    answers = search.answer(Findings(status="searched", today=TODAY, results=[PAGE]))
    assert [answer.body["seed"] for answer in answers] == [4, 5]
    assert [answer.counts_prompt for answer in answers] == [True, False]
    assert answers[0].new_shaper() is not answers[1].new_shaper()
