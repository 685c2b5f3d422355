"""A search before the answer, within the same generation."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gateway.application.choices import Choice
from gateway.application.searching import SearchOrder
from gateway.domain.errors import ServiceUnavailable
from gateway.domain.search import Mode, SearchPlan, WebResult
from gateway.domain.shaping import PlainShaper
from gateway.domain.usage import Tokens

from tests.support.accounts import new_order
from tests.support.fake_engine import answer, text
from tests.support.fakes import FakeSearch
from tests.support.house import build_house, drive, nothing_is_held

pytestmark = pytest.mark.anyio


async def test_a_search_before_the_answer_is_paid_with_it_and_told_before_the_first_piece() -> None:
    backend = FakeSearch([WebResult(title="T", url="https://t.example/", snippet="s", source="t.example")])
    house = await build_house(
        [text('{"query": "Eiffel Tower height"}', completion=3), *answer()], answer("a"), search=backend
    )
    order = replace(new_order(house.customer), search=search_order("force"))
    run, told, settlement = await drive(house, order)
    assert backend.queries == ["Eiffel Tower height"]
    assert [extra.fields["search_results"][0]["url"] for extra in told.extras] == ["https://t.example/"]
    assert run.headers["x-search-status"] == "searched"
    assert (told.texts, settlement.searches) == (["a"], 1)
    assert settlement.tokens == Tokens(5 + 5, 0 + 1)
    assert settlement.cost_nano_usd == 5 + 5 + 2 + 5_000_000
    assert house.engine.bodies == [{"max_tokens": 9}, {"max_tokens": 7}]
    await nothing_is_held(house)


async def test_a_search_that_must_be_had_and_can_not_refuses_before_the_answer_and_charges_nothing() -> None:
    house = await build_house(answer('{"query": "q"}'), search=FakeSearch())
    with pytest.raises(ServiceUnavailable) as caught:
        await house.generate.start(replace(new_order(house.customer), search=search_order("force")))
    assert caught.value.reason == "search_unavailable"
    (settlement,) = house.settled()
    assert (settlement.status, settlement.http_status, settlement.cost_nano_usd) == ("failed", 503, 0)
    await nothing_is_held(house)


async def test_a_search_that_may_be_had_and_can_not_is_answered_without_and_said_so() -> None:
    house = await build_house(answer("a"), search=None)
    run, told, settlement = await drive(house, replace(new_order(house.customer), search=search_order("auto")))
    assert run.headers["x-search-status"] == "unavailable"
    assert (told.texts, told.extras, settlement.searches) == (["a"], [], 0)


def search_order(mode: Mode) -> SearchOrder:
    """A search whose question is asked with 9 tokens and whose answer with 7."""
    return SearchOrder(
        plan=SearchPlan(mode=mode, count=3),
        conversation=[{"role": "user", "content": "How high is the Eiffel Tower?"}],
        question=lambda messages, schema: {"max_tokens": 9},
        answer=lambda found: [Choice(index=0, body={"max_tokens": 7}, new_shaper=PlainShaper)],
    )
