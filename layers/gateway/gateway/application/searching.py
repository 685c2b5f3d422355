"""Web search before an answer: whether to search, for what, and what was found (CONTRACT "Web search")."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from gateway.application.choices import Choice
from gateway.application.ports import Clock, SearchBackend
from gateway.domain.errors import SearchFailed, ServiceUnavailable
from gateway.domain.search import ImageResult, SearchPlan, WebResult
from gateway.domain.search_prompt import (
    decision_messages,
    decision_schema,
    grounded_query,
    parse_decision,
    parse_query,
    query_messages,
    query_schema,
)

SearchStatus = Literal["searched", "not_needed", "unavailable"]
UNAVAILABLE_RETRY_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a search brought. `requests` is how often the back end was asked; `cost_nano_usd` what that costs."""

    status: SearchStatus
    today: date
    results: Sequence[WebResult] = ()
    images: Sequence[ImageResult] | None = None
    """None where no images were searched."""
    requests: int = 0
    cost_nano_usd: int = 0

    def urls(self) -> list[str]:
        """Every URL that was found, once."""
        pages = [result.url for result in self.results]
        pictures = [url for one in self.images or () for url in (one.url, one.thumbnail_url, one.source_url)]
        return list(dict.fromkeys(pages + pictures))

    def fields(self) -> dict[str, Any]:
        """The top-level fields of the answer."""
        fields: dict[str, Any] = {}
        if self.status == "searched":
            fields["search_results"] = [
                {name: value for name, value in asdict(result).items() if value is not None} for result in self.results
            ]
        if self.images is not None:
            fields["images"] = [asdict(image) for image in self.images]
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOrder:
    """The part of an order that a search stands before.

    `question` makes an engine body that asks the model something short under a schema; `answer` makes the choices
    once it is known what was found.
    """

    plan: SearchPlan
    conversation: Sequence[Mapping[str, Any]]
    question: Callable[[Sequence[Mapping[str, Any]], Mapping[str, Any]], Mapping[str, Any]]
    answer: Callable[[Findings], Sequence[Choice]]


Ask = Callable[[Mapping[str, Any]], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class WebSearch:
    """Searches with the back end that configuration chose; None where it chose none.

    One request pays for one search at most, and for none whose price is over `budget_usd`.
    """

    backend: SearchBackend | None
    clock: Clock
    budget_usd: float

    async def find(self, order: SearchOrder, ask: Ask) -> Findings:
        """What there is to know before the model answers. `ask` puts a short question to the model itself.

        Raises ServiceUnavailable where the search must be had and can't; "auto" answers without it.
        """
        today = datetime.fromtimestamp(self.clock.now_s(), UTC).date()
        plan = order.plan
        if self.backend is None or self.backend.usd_per_request > self.budget_usd:
            return self._without(plan, today)
        query = await self._query(order, ask, today)
        if not query:
            return Findings(status="not_needed", today=today)
        cost_nano_usd = round(self.backend.usd_per_request * 1e9)
        try:
            if plan.mode == "images":
                images = await self.backend.images(query, count=plan.count)
                return Findings(status="searched", today=today, images=images, requests=1, cost_nano_usd=cost_nano_usd)
            results = await self.backend.search(
                query,
                count=plan.count,
                language=plan.language,
                freshness_days=plan.freshness_days,
                domains=plan.domains,
            )
        except SearchFailed:
            return self._without(plan, today)
        return Findings(status="searched", today=today, results=results, requests=1, cost_nano_usd=cost_nano_usd)

    async def _query(self, order: SearchOrder, ask: Ask, today: date) -> str:
        plan, conversation = order.plan, order.conversation
        if plan.mode == "auto":
            messages = decision_messages(conversation, today, plan.place)
            decision = parse_decision(await ask(order.question(messages, decision_schema())))
            return grounded_query(decision.query, conversation) if decision.search else ""
        messages = query_messages(conversation, today, plan.place)
        query = parse_query(await ask(order.question(messages, query_schema())))
        return grounded_query(query, conversation)

    def _without(self, plan: SearchPlan, today: date) -> Findings:
        if plan.mode == "auto":
            return Findings(status="unavailable", today=today)
        raise ServiceUnavailable(
            f"The search that web_search '{plan.mode}' needs can't be had now. Retry later, or send 'auto'.",
            reason="search_unavailable",
            retry_after_s=UNAVAILABLE_RETRY_S,
        )
