"""What every search back end promises (`application/ports.py: SearchBackend`), on protocol servers."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from gateway.adapters.search.brave import BraveSearch, brave_language
from gateway.adapters.search.ddgs import DdgsSearch, ddgs_region
from gateway.adapters.search.searxng import SearxngSearch
from gateway.adapters.search.tavily import TavilySearch
from gateway.application.ports import SearchBackend
from gateway.domain.errors import SearchFailed
from gateway.domain.search import MAX_SNIPPET_BYTES

from tests.support.search_servers import KEY, Behaviour, Brave, SearchServer, Searxng, Tavily, Vendor, search_server

pytestmark = pytest.mark.anyio

Make = Callable[[str, float, Callable[[], str]], BraveSearch | TavilySearch | SearxngSearch]


def brave(url: str, budget_s: float, key: Callable[[], str]) -> BraveSearch:
    return BraveSearch(key, usd_per_request=0.005, budget_s=budget_s, base_url=url)


def tavily(url: str, budget_s: float, key: Callable[[], str]) -> TavilySearch:
    return TavilySearch(key, usd_per_request=0.008, budget_s=budget_s, base_url=url)


def searxng(url: str, budget_s: float, key: Callable[[], str]) -> SearxngSearch:
    return SearxngSearch(base_url=url, budget_s=budget_s)


VENDORS: dict[str, tuple[type[Vendor], Make]] = {
    "brave": (Brave, brave), "tavily": (Tavily, tavily), "searxng": (Searxng, searxng)
}  # fmt: skip
KEYED = ["brave", "tavily"]
QUERY = "how tall is the tower"


@pytest.fixture(params=sorted(VENDORS))
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(vendor: str) -> Iterator[SearchServer]:
    with search_server(VENDORS[vendor][0]()) as running:
        yield running


@contextlib.asynccontextmanager
async def backend_of(vendor: str, url: str, *, budget_s: float = 5.0, key: Callable[[], str] = lambda: KEY) -> Any:
    async with VENDORS[vendor][1](url, budget_s, key) as backend:
        yield backend


async def test_a_search_gives_pages_as_plain_text_without_duplicates(vendor: str, server: SearchServer) -> None:
    async with backend_of(vendor, server.base_url) as backend:
        found = await backend.search(QUERY, count=5)

    assert [page.url for page in found] == [
        "https://en.example.org/tower",
        "https://www.paris.example/visit?a=1&b=2",
        "https://other.example/tower",
    ]
    assert (found[0].title, found[0].snippet) == ("Eiffel Tower & more", "It is 330 m tall.")
    assert (found[0].date, found[1].date) == (None, "2026-11-01T08:00:00")
    assert {page.source for page in found} == {vendor}


async def test_an_image_search_gives_images_with_where_they_are(vendor: str, server: SearchServer) -> None:
    async with backend_of(vendor, server.base_url) as backend:
        found = await backend.images(QUERY, count=5)

    assert [(image.url, image.title) for image in found] == [
        ("https://img.example.org/1.jpg", "Tower by night"),
        ("https://img.example.org/2.jpg", "Tower by day"),
    ]
    if vendor != "tavily":  # which tells neither
        assert found[0].source_url == "https://en.example.org/p"
        assert found[0].thumbnail_url == "https://thumb.example.org/1.jpg"
        assert (found[0].width, found[0].height) == (800, 600)


async def test_count_bounds_what_comes_back(vendor: str, server: SearchServer) -> None:
    async with backend_of(vendor, server.base_url) as backend:
        assert len(await backend.search(QUERY, count=1)) == 1
        assert len(await backend.images(QUERY, count=1)) == 1


async def test_more_than_the_vendor_allows_is_asked_for_within_its_limits(vendor: str, server: SearchServer) -> None:
    async with backend_of(vendor, server.base_url) as backend:
        await backend.search("word " * 300, count=1000, domains=[f"site{n}.example.org" for n in range(20)])
        await backend.images("w" * 3000, count=1000)

    assert server.refused == []


async def test_pages_outside_the_domains_are_dropped_whatever_the_vendor_gives(
    vendor: str, server: SearchServer
) -> None:
    async with backend_of(vendor, server.base_url) as backend:
        found = await backend.search(QUERY, count=5, domains=["paris.example", "example.org"])

    assert [page.url for page in found] == ["https://en.example.org/tower", "https://www.paris.example/visit?a=1&b=2"]
    sent = server.asked[0].fields
    assert sent.get("include_domains", sent.get("q")) in (
        ["paris.example", "example.org"],
        f"{QUERY} (site:paris.example OR site:example.org)",
    )


@pytest.mark.parametrize(
    ("days", "span"), [(1, "day"), (2, "week"), (7, "week"), (30, "month"), (365, "year"), (366, None), (None, None)]
)
async def test_freshness_is_the_narrowest_span_that_holds_it(
    vendor: str, server: SearchServer, days: int | None, span: str | None
) -> None:
    async with backend_of(vendor, server.base_url) as backend:
        await backend.search(QUERY, count=5, freshness_days=days)

    fields = server.asked[0].fields
    codes = {"pd": "day", "pw": "week", "pm": "month", "py": "year"}
    assert fields.get("time_range", codes.get(fields.get("freshness", ""))) == span


async def test_a_language_the_vendor_does_not_know_is_not_sent(vendor: str, server: SearchServer) -> None:
    async with backend_of(vendor, server.base_url) as backend:
        await backend.search(QUERY, count=5, language="xx-YY" if vendor == "brave" else "de")

    assert server.refused == []
    assert "search_lang" not in server.asked[0].fields


async def test_nothing_found_is_an_empty_answer_and_no_failure(vendor: str, server: SearchServer) -> None:
    server.script = ["empty", "empty"]
    async with backend_of(vendor, server.base_url) as backend:
        assert await backend.search(QUERY, count=5) == []
        assert await backend.images(QUERY, count=5) == []


async def test_fields_that_are_missing_or_of_the_wrong_type_cost_only_themselves(
    vendor: str, server: SearchServer
) -> None:
    server.script = ["odd"]
    async with backend_of(vendor, server.base_url) as backend:
        found = await backend.search(QUERY, count=5)

    assert [(page.title, page.url, page.snippet) for page in found] == [("odd.example", "https://odd.example/", "")]


async def test_hostile_pages_come_back_harmless(vendor: str, server: SearchServer) -> None:
    server.script = ["hostile"]
    async with backend_of(vendor, server.base_url) as backend:
        [page] = await backend.search(QUERY, count=10)

    assert page.url == "https://hostile.example/"
    assert page.title == "A title"
    assert page.snippet.startswith("Seen.")
    assert "IGNORE ALL" not in page.snippet
    for hidden in ("unseen", "steal", "twice", "<", "\n", "\u200d", "\U000e0041"):
        assert hidden not in page.snippet
    assert len(page.snippet.encode()) <= MAX_SNIPPET_BYTES


async def test_hostile_images_come_back_harmless(vendor: str, server: SearchServer) -> None:
    server.script = ["hostile"]
    async with backend_of(vendor, server.base_url) as backend:
        [image] = await backend.images(QUERY, count=10)

    assert image.url == "https://img.example.org/(a).png"
    assert image.thumbnail_url == image.url
    assert "<" not in image.title


@pytest.mark.parametrize("first", ["failing", "rate_limited", "rate_limited_for_a_second"])
async def test_a_passing_failure_is_tried_once_more(vendor: str, server: SearchServer, first: Behaviour) -> None:
    server.script = [first]
    async with backend_of(vendor, server.base_url) as backend:
        assert await backend.search(QUERY, count=5)

    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("script", "requests"),
    [
        (["failing", "failing"], 2),
        (["rate_limited", "rate_limited"], 2),
        (["rate_limited_for_an_hour"], 1),
        (["not_json"], 1),
        (["not_an_object"], 1),
        (["deep"], 1),
        (["cut"], 1),
        (["dropped"], 1),
        (["huge"], 1),
        (["compressed"], 1),
        (["redirect"], 1),
    ],
    ids=lambda value: "-then-".join(value) if isinstance(value, list) else "",
)
async def test_a_lasting_failure_is_told_without_key_or_query(
    vendor: str, server: SearchServer, script: list[Behaviour], requests: int
) -> None:
    server.script = list(script)
    async with backend_of(vendor, server.base_url) as backend:
        with pytest.raises(SearchFailed) as failure:
            await backend.search(QUERY, count=5)

    assert len(server.asked) == requests
    assert str(failure.value).startswith(f"{vendor}: ")
    told = "".join(traceback.format_exception(failure.value))
    assert [secret for secret in (KEY, "tower", "127.0.0.1") if secret in told] == []


async def test_a_search_ends_when_its_budget_does(vendor: str, server: SearchServer) -> None:
    server.script = ["slow"]
    async with backend_of(vendor, server.base_url, budget_s=0.3) as backend:
        with pytest.raises(SearchFailed):
            await backend.search(QUERY, count=5)


async def test_a_pause_that_a_vendor_asks_for_does_not_outlast_the_budget(vendor: str, server: SearchServer) -> None:
    server.script = ["rate_limited_for_a_second"]
    async with backend_of(vendor, server.base_url, budget_s=0.3) as backend:
        with pytest.raises(SearchFailed):
            await backend.search(QUERY, count=5)

    assert len(server.asked) <= 1  # none where the budget was over before the client was made


async def test_nobody_listening_is_a_search_failure(vendor: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with backend_of(vendor, f"http://127.0.0.1:{unused.getsockname()[1]}") as backend:
            with pytest.raises(SearchFailed):
                await backend.images(QUERY, count=5)


async def test_a_back_end_works_on_after_a_failure(vendor: str, server: SearchServer) -> None:
    server.script = ["huge", "cut"]
    async with backend_of(vendor, server.base_url) as backend:
        for _ in range(2):
            with pytest.raises(SearchFailed):
                await backend.search(QUERY, count=5)
        assert await backend.search(QUERY, count=5)


async def test_neither_query_nor_key_is_logged(
    vendor: str, server: SearchServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with backend_of(vendor, server.base_url) as backend:
            await backend.search(QUERY, count=5)

    assert "tower" not in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("key", ["wrong-key", "", "two\nlines"])
@pytest.mark.parametrize("vendor", KEYED)
async def test_a_key_that_is_wrong_or_missing_is_a_search_failure(vendor: str, server: SearchServer, key: str) -> None:
    async with backend_of(vendor, server.base_url, key=lambda: key) as backend:
        with pytest.raises(SearchFailed):
            await backend.search(QUERY, count=5)


@pytest.mark.parametrize("vendor", KEYED)
async def test_the_key_is_read_at_each_search_and_not_before(vendor: str, server: SearchServer) -> None:
    read: list[str] = []

    def source() -> str:
        read.append("read")
        return KEY

    async with backend_of(vendor, server.base_url, key=source) as backend:
        assert read == []
        await backend.search(QUERY, count=5)
        await backend.search(QUERY, count=5)

    assert len(read) == 2


@pytest.mark.parametrize("vendor", ["searxng"])
async def test_a_searxng_whose_engines_all_failed_has_failed(vendor: str) -> None:
    class Dead(Searxng):
        def shape(self, found: list[Any], *, images: bool) -> dict[str, Any]:
            return super().shape([], images=images) | {"unresponsive_engines": [["google", "CAPTCHA"]]}

    with search_server(Dead()) as server:
        async with backend_of(vendor, server.base_url) as backend:
            with pytest.raises(SearchFailed, match="none of its engines"):
                await backend.search(QUERY, count=5)


@pytest.mark.parametrize("vendor", ["searxng"])
async def test_a_searxng_image_address_without_a_scheme_is_https(vendor: str) -> None:
    class Schemeless(Searxng):
        def shape(self, found: list[Any], *, images: bool) -> dict[str, Any]:
            return super().shape([replace(found[0], image="//img.example.org/1.jpg")], images=images)

    with search_server(Schemeless()) as server:
        async with backend_of(vendor, server.base_url) as backend:
            [image] = await backend.images(QUERY, count=5)

    assert image.url == "https://img.example.org/1.jpg"


@pytest.mark.parametrize(
    ("tag", "code"),
    [("en", "en"), ("en-GB", "en-gb"), ("de-AT", "de"), ("ja", "jp"), ("zh-TW", "zh-hant"), ("xx", None)],
)
def test_brave_gets_its_own_language_codes(tag: str, code: str | None) -> None:
    assert brave_language(tag) == code


def test_ddgs_gets_the_country_first() -> None:
    assert (ddgs_region("de-AT"), ddgs_region("fr")) == ("at-de", "us-fr")


async def test_ddgs_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ddgs", None)

    with pytest.raises(SearchFailed, match=r"pip install 'studiolm-gateway\[local\]'"):
        await DdgsSearch(budget_s=1.0).search(QUERY, count=1)


@pytest.fixture
def scraper(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for the `ddgs` package with its documented calls; `answer` is a list or the failure to raise."""
    package, exceptions = ModuleType("ddgs"), ModuleType("ddgs.exceptions")
    exceptions.DDGSException = type("DDGSException", (Exception,), {})  # type: ignore[attr-defined]  # made up here
    state: Any = package
    state.asked = []

    class DDGS:
        def __init__(self, *, timeout: int) -> None:
            self.timeout = timeout

        def text(self, query: str, **options: Any) -> Any:
            state.asked.append((query, options))
            if isinstance(state.answer, Exception):
                raise state.answer
            return state.answer

        images = text

    state.DDGS = DDGS
    monkeypatch.setitem(sys.modules, "ddgs", package)
    monkeypatch.setitem(sys.modules, "ddgs.exceptions", exceptions)
    return package


async def test_ddgs_pages_and_images_come_back_like_any_other(scraper: Any) -> None:
    scraper.answer = [
        {"title": "<b>Tower</b>", "href": "https://a.example/", "body": "330&nbsp;m"},
        {"href": "javascript:1"},
    ]
    [found] = await DdgsSearch(budget_s=5).search(QUERY, count=5, language="de-AT", freshness_days=7)
    scraper.answer = [{"title": "T", "image": "https://i.example/1", "url": "https://a.example/", "width": "800"}]
    [image] = await DdgsSearch(budget_s=5).images(QUERY, count=5)

    assert (found.title, found.url, found.snippet, found.source) == ("Tower", "https://a.example/", "330 m", "ddgs")
    assert (image.url, image.source_url, image.width) == ("https://i.example/1", "https://a.example/", 800)
    assert scraper.asked == [
        (QUERY, {"max_results": 5, "region": "at-de", "timelimit": "w"}),
        (QUERY, {"max_results": 5, "safesearch": "on"}),
    ]


async def test_ddgs_that_finds_nothing_is_no_failure_and_one_that_breaks_is(scraper: Any) -> None:
    failure = sys.modules["ddgs.exceptions"].DDGSException
    scraper.answer = failure("No results found.")
    assert await DdgsSearch(budget_s=5).search(QUERY, count=5) == []

    scraper.answer = failure(f"https://engine.example/?q={QUERY}: 403")
    with pytest.raises(SearchFailed) as told:
        await DdgsSearch(budget_s=5).search(QUERY, count=5)
    assert "tower" not in "".join(traceback.format_exception(told.value))


def test_the_adapters_are_search_backends() -> None:
    backends: list[SearchBackend] = [
        BraveSearch(lambda: KEY, usd_per_request=0.005, budget_s=1),
        TavilySearch(lambda: KEY, usd_per_request=0.008, budget_s=1),
        SearxngSearch(base_url="http://127.0.0.1", budget_s=1),
        DdgsSearch(budget_s=1),
    ]

    assert [backend.name for backend in backends] == ["brave", "tavily", "searxng", "ddgs"]
