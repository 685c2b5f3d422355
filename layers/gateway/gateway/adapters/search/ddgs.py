"""The `ddgs` package: keyless, by scraping public search pages. For personal use on one's own machine only.

Calls as in the README of ddgs 9: `text` and `images`, blocking, with the failures of
`ddgs.exceptions`. It is no dependency of the deployed functions.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from gateway.adapters.search._http import freshness_range, objects, with_sites
from gateway.domain.errors import SearchFailed
from gateway.domain.search import ImageResult, WebResult, best_of, image_result, web_result

MAX_CHARACTERS = 400
MAX_WORDS = 50
TIME_LIMITS = {"day": "d", "week": "w", "month": "m", "year": "y"}
NOTHING_FOUND = "No results found."


class DdgsSearch:
    """The `SearchBackend` on ddgs. Raises SearchFailed on first use where the package is not installed."""

    name = "ddgs"

    def __init__(self, *, budget_s: float, usd_per_request: float = 0.0) -> None:
        self._budget_s = budget_s
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
        asked = with_sites(query, tuple(domains), max_characters=MAX_CHARACTERS, max_words=MAX_WORDS)
        options: dict[str, Any] = {"max_results": count}
        if language is not None:
            options["region"] = ddgs_region(language)
        if span := freshness_range(freshness_days):
            options["timelimit"] = TIME_LIMITS[span]
        pages = await self._ask(lambda package: package.DDGS(timeout=self._whole_s).text(asked, **options))
        return best_of(map(self._page, pages), count=count, domains=domains)

    async def images(self, query: str, *, count: int) -> list[ImageResult]:
        """At most `count` images, best first. Raises SearchFailed."""
        asked = with_sites(query, (), max_characters=MAX_CHARACTERS, max_words=MAX_WORDS)
        images = await self._ask(
            lambda package: package.DDGS(timeout=self._whole_s).images(asked, safesearch="on", max_results=count)
        )
        return best_of(map(_image, images), count=count)

    @property
    def _whole_s(self) -> int:
        return max(1, round(self._budget_s))

    async def _ask(self, ask: Callable[[ModuleType], Any]) -> list[dict[str, Any]]:
        package, failures = self._package()
        try:
            async with asyncio.timeout(self._budget_s):
                return objects(await asyncio.to_thread(ask, package))
        except TimeoutError:
            raise SearchFailed(f"{self.name}: no answer within {self._budget_s:g} s") from None
        except failures.DDGSException as error:
            if str(error) == NOTHING_FOUND:
                return []
            raise SearchFailed(f"{self.name}: {type(error).__name__}") from None

    def _package(self) -> tuple[ModuleType, ModuleType]:
        try:
            # At INFO it logs the failures of its engines, whose text has the URL and so the user's question.
            logging.getLogger("ddgs").setLevel(logging.WARNING)
            return importlib.import_module("ddgs"), importlib.import_module("ddgs.exceptions")
        except ImportError:
            raise SearchFailed(
                f"{self.name}: the package is not installed; `pip install 'studiolm-gateway[local]'` brings it"
            ) from None

    def _page(self, page: dict[str, Any]) -> WebResult | None:
        return web_result(title=page.get("title"), url=page.get("href"), snippet=page.get("body"), source=self.name)


def ddgs_region(tag: str) -> str:
    """The tag as ddgs wants it, country first; its own default country where the tag has none."""
    language, _, country = tag.lower().partition("-")
    return f"{country if len(country) == 2 else 'us'}-{language}"


def _image(image: dict[str, Any]) -> ImageResult | None:
    return image_result(
        title=image.get("title"),
        url=image.get("image"),
        thumbnail_url=image.get("thumbnail"),
        source_url=image.get("url"),
        width=image.get("width"),
        height=image.get("height"),
    )
