"""Web search, asked of the real model through the whole local stack, with SearXNG's protocol behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.main_job.conftest import Asker
from tests.support.local_stack import LocalStack
from tests.support.search_servers import IMAGES, Page, SearchServer, Searxng, search_server

pytestmark = pytest.mark.model

# A museum that is nowhere but in these results.
MUSEUM = "https://museum.example/zorblax"
PAGES = [
    Page("Zorblax Museum", MUSEUM, "The Zorblax Museum in Quillford was founded in 1874 by Mira Tolland."),
    Page("Visit Quillford", "https://quillford.example/", "Quillford is a small town on the river Ash."),
]
# Of the wordings tried, one that the small model answers with a citation whatever its cache holds.
QUESTION = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "In which year was the Zorblax Museum founded?"},
]
ASKED: dict[str, Any] = {"messages": QUESTION, "temperature": 0, "max_tokens": 60}


@pytest.fixture(scope="module")
def server() -> Iterator[SearchServer]:
    with search_server(Searxng()) as server:
        yield server


@pytest.fixture(scope="module")
def searching(server: SearchServer) -> Iterator[LocalStack]:
    stack = LocalStack.start({"SEARCH_BACKEND": "searxng", "SEARCH_URL": server.base_url})
    yield stack
    stack.stop()


@pytest.fixture
def web(server: SearchServer) -> SearchServer:
    server.reset()
    server.found = (PAGES, IMAGES)
    return server


@pytest.fixture
def asker(searching: LocalStack, web: SearchServer) -> Iterator[Asker]:
    with httpx.Client(base_url=searching.base_url, headers=searching.headers, timeout=90) as http:
        yield Asker(http)


def message(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["choices"][0]["message"]
    return found


def cited(content: str, annotations: list[dict[str, Any]]) -> list[tuple[str, str]]:
    citations = [annotation["url_citation"] for annotation in annotations]
    return [(content[one["start_index"] : one["end_index"]], one["url"]) for one in citations]


def test_without_the_search_the_model_can_not_know_the_answer(asker: Asker, web: SearchServer) -> None:
    content = message(asker.whole(**ASKED))["content"]
    assert "1874" not in content
    assert web.asked == []


@pytest.mark.parametrize("mode", ["force", "auto"])
def test_an_answer_that_is_only_in_the_results_is_given_from_them_and_cites_them(
    asker: Asker, web: SearchServer, mode: str
) -> None:
    body = asker.whole(**ASKED, web_search=mode)
    told = message(body)
    assert "1874" in told["content"]
    assert cited(told["content"], told["annotations"]) == [("[1]", MUSEUM)]
    assert [result["url"] for result in body["search_results"]] == [page.url for page in PAGES]
    assert body["usage"]["server_tool_use_details"] == {"web_search_requests": 1}
    (asked,) = web.asked
    assert "Zorblax" in asked.fields["q"]


def test_a_stream_tells_the_same_with_the_results_first_and_the_citations_last(asker: Asker) -> None:
    role, found, *texts, citations, finish = asker.stream(**ASKED, web_search="force")
    assert role["choices"][0]["delta"]["role"] == "assistant"
    assert [result["url"] for result in found["search_results"]] == [page.url for page in PAGES]
    content = "".join(event["choices"][0]["delta"]["content"] for event in texts)
    assert "1874" in content
    assert cited(content, citations["choices"][0]["delta"]["annotations"]) == [("[1]", MUSEUM)]
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert finish["usage"]["server_tool_use_details"] == {"web_search_requests": 1}


def test_images_are_shown_inline_from_the_set_alone(asker: Asker) -> None:
    messages = [{"role": "user", "content": "Show me the tower."}]
    body = asker.whole(messages=messages, temperature=0, max_tokens=24, web_search="images")
    content = message(body)["content"]
    assert content.startswith("".join(f"![{image.title}]({image.image})\n\n" for image in IMAGES))
    assert content.count("](") == len(IMAGES) == len(body["images"])


def test_json_is_made_of_the_results_and_stays_pure(asker: Asker) -> None:
    schema = {
        "type": "object",
        "properties": {"year": {"type": "integer"}},
        "required": ["year"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "founding", "schema": schema}}
    body = asker.whole(**ASKED, web_search="force", response_format=form)
    assert json.loads(message(body)["content"]) == {"year": 1874}


def test_a_back_end_that_is_down_is_told_and_costs_nothing(asker: Asker, web: SearchServer) -> None:
    used = asker.usage()["today"]["total_tokens"]
    web.script += ["failing", "failing"]
    refused = asker.post(**ASKED, web_search="force", stream=True)
    assert (refused.status_code, refused.json()["error"]["reason"]) == (503, "search_unavailable")
    report = asker.usage()
    assert (report["today"]["total_tokens"], report["open_requests"]) == (used, 0)

    web.script += ["failing", "failing"]
    answer = asker.post(**ASKED, web_search="auto")
    assert (answer.status_code, answer.headers["x-search-status"]) == (200, "unavailable")
