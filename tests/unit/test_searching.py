"""Whether to search, for what, and what it means where nothing can be had."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from gateway.application.choices import Choice
from gateway.application.searching import SearchOrder, SearchStatus, WebSearch
from gateway.domain.errors import SearchFailed, ServiceUnavailable
from gateway.domain.search import ImageResult, Mode, SearchPlan, WebResult

from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio
PAGE = WebResult(title="Tower", url="https://a.example/", snippet="330 m", source="test")
IMAGE = ImageResult(
    url="https://i.example/", thumbnail_url="https://i.example/", source_url="https://i.example/", title="Tower"
)
CONVERSATION = [{"role": "user", "content": "How tall is the Eiffel Tower in Paris, and since when?"}]


class OnePage:
    """Keeps the promises of `ports.SearchBackend`: finds one page and one image, or fails."""

    name = "one page"
    usd_per_request = 0.005

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def search(
        self,
        query: str,
        *,
        count: int,
        language: str | None = None,
        freshness_days: int | None = None,
        domains: Sequence[str] = (),
    ) -> list[WebResult]:
        options = {"count": count, "language": language, "freshness_days": freshness_days, "domains": domains}
        self._note(query, options)
        return [PAGE]

    async def images(self, query: str, *, count: int) -> list[ImageResult]:
        self._note(query, {"count": count})
        return [IMAGE]

    def _note(self, query: str, options: dict[str, Any]) -> None:
        self.asked.append((query, options))
        if self.fails:
            raise SearchFailed("down")


class Model:
    """Says one thing, and keeps what it was asked."""

    def __init__(self, says: str) -> None:
        self._says = says
        self.asked: list[Any] = []

    async def __call__(self, body: Any) -> str:
        self.asked.append(body)
        return self._says


def ordered(mode: Mode, **fields: Any) -> SearchOrder:
    def question(messages: Any, schema: Any) -> dict[str, Any]:
        return {"messages": messages, "schema": schema}

    def answer(_found: Any) -> list[Choice]:
        return []

    plan = SearchPlan(mode=mode, count=3, **fields)
    return SearchOrder(plan=plan, conversation=CONVERSATION, question=question, answer=answer)


@pytest.mark.parametrize(
    ("mode", "says", "query"),
    [
        ("auto", '{"search": true, "query": "eiffel tower height"}', "eiffel tower height"),
        ("auto", '{"search": true, "query": ""}', CONVERSATION[0]["content"]),
        ("auto", '{"search": true, "query": "2026-11-23"}', CONVERSATION[0]["content"]),
        ("force", '{"query": "eiffel tower height"}', "eiffel tower height"),
        ("force", '{"que', CONVERSATION[0]["content"]),
        ("images", '{"query": "eiffel tower"}', "eiffel tower"),
    ],
)
async def test_the_model_writes_the_query_and_where_it_can_not_the_conversation_does(
    mode: Mode, says: str, query: str
) -> None:
    backend, model = OnePage(), Model(says)
    found = await WebSearch(backend, ManualClock(), 0.01).find(ordered(mode), model)
    assert [asked for asked, _ in backend.asked] == [query]
    assert (found.status, found.requests, found.cost_nano_usd) == ("searched", 1, 5_000_000)
    (asked,) = model.asked
    assert ("search" in asked["schema"]["properties"]) == (mode == "auto")
    assert asked["messages"][:-1] == CONVERSATION
    assert str(found.today) in asked["messages"][-1]["content"]


async def test_the_plan_reaches_the_back_end() -> None:
    backend = OnePage()
    order = ordered("force", language="fr", freshness_days=7, domains=("a.example",))
    await WebSearch(backend, ManualClock(), 0.01).find(order, Model('{"query": "tower"}'))
    assert backend.asked == [("tower", {"count": 3, "language": "fr", "freshness_days": 7, "domains": ("a.example",)})]


@pytest.mark.parametrize("says", ['{"search": false, "query": "x"}', "I can't say.", ""])
async def test_a_model_that_wants_no_search_or_says_nothing_readable_gets_none(says: str) -> None:
    backend = OnePage()
    found = await WebSearch(backend, ManualClock(), 0.01).find(ordered("auto"), Model(says))
    assert (found.status, found.requests, found.cost_nano_usd, backend.asked) == ("not_needed", 0, 0, [])
    assert found.fields() == {}


@pytest.mark.parametrize(
    ("backend", "asks", "status"), [(None, 0, "unavailable"), (OnePage(fails=True), 1, "unavailable")]
)
async def test_auto_does_without_what_can_not_be_had(backend: OnePage | None, asks: int, status: SearchStatus) -> None:
    model = Model('{"search": true, "query": "tower"}')
    found = await WebSearch(backend, ManualClock(), 0.01).find(ordered("auto"), model)
    assert (found.status, found.requests, found.cost_nano_usd, len(model.asked)) == (status, 0, 0, asks)
    assert found.fields() == {}


@pytest.mark.parametrize("mode", ["force", "images"])
@pytest.mark.parametrize("backend", [None, OnePage(fails=True)])
async def test_what_must_be_had_and_can_not_is_unavailable_for_now(mode: Mode, backend: OnePage | None) -> None:
    with pytest.raises(ServiceUnavailable) as caught:
        await WebSearch(backend, ManualClock(), 0.01).find(ordered(mode), Model('{"query": "tower"}'))
    assert caught.value.reason == "search_unavailable"
    assert (caught.value.retry_after_s or 0) > 0


@pytest.mark.parametrize(("budget_usd", "status", "asks"), [(0.005, "searched", 1), (0.0049, "unavailable", 0)])
async def test_a_search_is_had_at_the_budget_and_not_above_it(
    budget_usd: float, status: SearchStatus, asks: int
) -> None:
    backend, model = OnePage(), Model('{"search": true, "query": "tower"}')
    found = await WebSearch(backend, ManualClock(), budget_usd).find(ordered("auto"), model)
    assert (found.status, len(backend.asked), len(model.asked)) == (status, asks, asks)


async def test_the_fields_of_an_answer_hold_what_was_found_and_no_empty_dates() -> None:
    search = WebSearch(OnePage(), ManualClock(), 0.01)
    pages = await search.find(ordered("force"), Model('{"query": "tower"}'))
    images = await search.find(ordered("images"), Model('{"query": "tower"}'))
    page = {"title": "Tower", "url": "https://a.example/", "snippet": "330 m", "source": "test"}
    assert pages.fields() == {"search_results": [page]}
    assert images.fields()["search_results"] == []
    assert json.loads(json.dumps(images.fields()["images"]))[0]["width"] is None
