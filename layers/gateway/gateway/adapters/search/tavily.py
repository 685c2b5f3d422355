"""Tavily Search API.

Parameters, limits (20 results, 400 characters a query) and answers as documented at
docs.tavily.com/documentation/api-reference/endpoint/search. There is no parameter for a language: it follows the query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.adapters.search._http import SecretSource, VendorClient, freshness_range, objects
from gateway.domain.search import ImageResult, WebResult, best_of, image_result, web_result

MAX_CHARACTERS = 400
MAX_RESULTS = 20


class TavilySearch(VendorClient):
    """The `SearchBackend` on Tavily's API. `key` gives the API key; a search is one credit (`search_depth` basic)."""

    name = "tavily"

    def __init__(
        self, key: SecretSource, *, usd_per_request: float, budget_s: float, base_url: str = "https://api.tavily.com"
    ) -> None:
        super().__init__(self.name, base_url=base_url, budget_s=budget_s, key=key)
        self.usd_per_request = usd_per_request

    async def search(
        self,
        query: str,
        *,
        count: int,
        language: str | None = None,  # noqa: ARG002  # the port's, see above
        freshness_days: int | None = None,
        domains: Sequence[str] = (),
    ) -> list[WebResult]:
        """At most `count` pages (20 at most), best first. Raises SearchFailed."""
        body: dict[str, Any] = {"max_results": min(count, MAX_RESULTS)}
        if span := freshness_range(freshness_days):
            body["time_range"] = span
        if domains:
            body["include_domains"] = list(domains)
        answer = await self._ask(query, body)
        return best_of(map(self._page, objects(answer.get("results"))), count=count, domains=domains)

    async def images(self, query: str, *, count: int) -> list[ImageResult]:
        """At most `count` images, best first. Raises SearchFailed.

        Tavily names neither the page nor the size of an image: `source_url` and `thumbnail_url` are the image's own.
        """
        answer = await self._ask(query, {"max_results": 1, "include_images": True, "include_image_descriptions": True})
        return best_of(map(_image, objects(answer.get("images"))), count=count)

    async def _ask(self, query: str, body: dict[str, Any]) -> dict[str, Any]:
        asked = {"query": query[:MAX_CHARACTERS], "search_depth": "basic", "topic": "general"} | body
        return await self.exchange("POST", "/search", headers=_with_bearer, body=asked)

    def _page(self, page: dict[str, Any]) -> WebResult | None:
        return web_result(
            title=page.get("title"),
            url=page.get("url"),
            snippet=page.get("content"),
            source=self.name,
            date=page.get("published_date"),
        )


def _image(image: dict[str, Any]) -> ImageResult | None:
    url = image.get("url")
    return image_result(title=image.get("description"), url=url, thumbnail_url=url, source_url=url)


def _with_bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
