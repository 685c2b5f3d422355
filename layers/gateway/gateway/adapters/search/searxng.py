"""A SearXNG instance of one's own: no key, no price.

Parameters as documented at docs.searxng.org/dev/search_api. The instance must list `json` under `search.formats` in
its settings.yml (it answers 403 otherwise), and its bot limiter must let us through. It takes no count: a page of
results is what its engines give.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gateway.adapters.search._http import VendorClient, freshness_range, objects, with_sites
from gateway.domain.errors import SearchFailed
from gateway.domain.search import ImageResult, WebResult, best_of, image_result, web_result

MAX_CHARACTERS = 400  # our own bound; SearXNG has none, the engines behind it have
MAX_WORDS = 50
_RESOLUTION = re.compile(r"\s*(\d{1,6})\s*[x×*]\s*(\d{1,6})\b", re.IGNORECASE)


class SearxngSearch(VendorClient):
    """The `SearchBackend` on a SearXNG instance at `base_url` (with its path, without `/search`)."""

    name = "searxng"

    def __init__(self, *, base_url: str, budget_s: float, usd_per_request: float = 0.0) -> None:
        super().__init__(self.name, base_url=base_url, budget_s=budget_s)
        self.usd_per_request = usd_per_request

    async def search(
        self,
        query: str,
        *,
        count: int,
        language: str | None = None,
        freshness_days: int | None = None,
        domains: Sequence[str] = (),
    ) -> list[WebResult]:
        """At most `count` pages, best first. Raises SearchFailed."""
        params = {"categories": "general"}
        if language is not None:
            params["language"] = language
        if span := freshness_range(freshness_days):
            params["time_range"] = span
        pages = await self._ask(query, tuple(domains), params)
        return best_of(map(self._page, pages), count=count, domains=domains)

    async def images(self, query: str, *, count: int) -> list[ImageResult]:
        """At most `count` images, best first. Raises SearchFailed."""
        return best_of(map(_image, await self._ask(query, (), {"categories": "images"})), count=count)

    async def _ask(self, query: str, domains: tuple[str, ...], params: dict[str, str]) -> list[dict[str, Any]]:
        asked = with_sites(query, domains, max_characters=MAX_CHARACTERS, max_words=MAX_WORDS)
        answer = await self.exchange(
            "GET", "/search", params={"q": asked, "format": "json", "safesearch": "1"} | params
        )
        found = objects(answer.get("results"))
        if not found and answer.get("unresponsive_engines"):
            raise SearchFailed(f"{self.name}: none of its engines answered")
        return found

    def _page(self, page: dict[str, Any]) -> WebResult | None:
        return web_result(
            title=page.get("title"),
            url=page.get("url"),
            snippet=page.get("content"),
            source=self.name,
            date=page.get("publishedDate"),
        )


def _image(image: dict[str, Any]) -> ImageResult | None:
    size = _RESOLUTION.match(image["resolution"]) if isinstance(image.get("resolution"), str) else None
    return image_result(
        title=image.get("title"),
        url=_absolute(image.get("img_src")),
        thumbnail_url=_absolute(image.get("thumbnail_src")),
        source_url=image.get("url"),
        width=size[1] if size else None,
        height=size[2] if size else None,
    )


def _absolute(url: Any) -> Any:
    """Some engines leave out the scheme (`//host/a.png`)."""
    return f"https:{url}" if isinstance(url, str) and url.startswith("//") else url
