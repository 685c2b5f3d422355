"""Brave Search API, the production default.

Parameters, limits (400 characters and 50 words a query, 20 results, 200 images) and answers as documented at
api-dashboard.search.brave.com/api-reference (`web/search/get`, `images/image_search`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gateway.adapters.search._http import SecretSource, VendorClient, freshness_range, objects, with_sites, within
from gateway.domain.search import ImageResult, WebResult, best_of, image_result, web_result

MAX_CHARACTERS = 400
MAX_WORDS = 50
MAX_RESULTS = 20
MAX_IMAGES = 200
FRESHNESS_CODES = {"day": "pd", "week": "pw", "month": "pm", "year": "py"}
LANGUAGES = re.compile(
    "ar|bg|bn|ca|cs|da|de|el|en|en-gb|es|et|eu|fi|fr|gl|gu|he|hi|hr|hu|is|it|jp|kn|ko|lt|lv|ml|mr|ms|nb|nl|pa|pl|"
    "pt-br|pt-pt|ro|ru|sk|sl|sr|sv|ta|te|th|tr|uk|vi|zh-hans|zh-hant"
)
LANGUAGES_UNDER_ANOTHER_NAME = {
    "ja": "jp",
    "no": "nb",
    "pt": "pt-pt",
    "zh": "zh-hans",
    "zh-cn": "zh-hans",
    "zh-hk": "zh-hant",
    "zh-tw": "zh-hant",
}


class BraveSearch(VendorClient):
    """The `SearchBackend` on Brave's API. `key` gives the subscription token."""

    name = "brave"

    def __init__(
        self,
        key: SecretSource,
        *,
        usd_per_request: float,
        budget_s: float,
        base_url: str = "https://api.search.brave.com",
    ) -> None:
        super().__init__(self.name, base_url=base_url, budget_s=budget_s, key=key)
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
        """At most `count` pages (20 at most), best first. Raises SearchFailed."""
        params = {
            "q": with_sites(query, tuple(domains), max_characters=MAX_CHARACTERS, max_words=MAX_WORDS),
            "count": str(min(count, MAX_RESULTS)),
            "result_filter": "web",
            "text_decorations": "false",
        }
        if code := brave_language(language):
            params["search_lang"] = code
        if span := freshness_range(freshness_days):
            params["freshness"] = FRESHNESS_CODES[span]
        answer = await self.exchange("GET", "/res/v1/web/search", headers=_with_token, params=params)
        pages = objects(within(answer.get("web"), "results"))
        return best_of(map(self._page, pages), count=count, domains=domains)

    async def images(self, query: str, *, count: int) -> list[ImageResult]:
        """At most `count` images, best first. Raises SearchFailed."""
        params = {
            "q": with_sites(query, (), max_characters=MAX_CHARACTERS, max_words=MAX_WORDS),
            "count": str(min(count, MAX_IMAGES)),
            "safesearch": "strict",
        }
        answer = await self.exchange("GET", "/res/v1/images/search", headers=_with_token, params=params)
        return best_of(map(_image, objects(answer.get("results"))), count=count)

    def _page(self, page: dict[str, Any]) -> WebResult | None:
        return web_result(
            title=page.get("title"),
            url=page.get("url"),
            snippet=page.get("description"),
            source=self.name,
            date=page.get("page_age") or page.get("age"),
        )


def brave_language(tag: str | None) -> str | None:
    """Brave's code for a language tag; None for one that it would refuse with a 422."""
    whole = (tag or "").lower()
    for candidate in (whole, whole.partition("-")[0]):
        code = LANGUAGES_UNDER_ANOTHER_NAME.get(candidate, candidate)
        if LANGUAGES.fullmatch(code):
            return code
    return None


def _image(image: dict[str, Any]) -> ImageResult | None:
    properties = image.get("properties")
    return image_result(
        title=image.get("title"),
        url=within(properties, "url"),
        thumbnail_url=within(image.get("thumbnail"), "src"),
        source_url=image.get("url"),
        width=within(properties, "width"),
        height=within(properties, "height"),
    )


def _with_token(key: str) -> dict[str, str]:
    return {"X-Subscription-Token": key}
