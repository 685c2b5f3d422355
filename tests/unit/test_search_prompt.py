"""What a request asks to be searched, and how the model is asked and shown (`gateway.domain.search_prompt`)."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

import jsonschema
import pytest
from gateway.domain.citations import CitedText
from gateway.domain.errors import InvalidRequest
from gateway.domain.search import ImageResult, SearchDecision, SearchPlan, WebResult
from gateway.domain.search_prompt import (
    decision_messages,
    decision_schema,
    grounded_query,
    parse_decision,
    parse_query,
    parse_web_search,
    query_from_conversation,
    query_messages,
    query_schema,
    render_images,
    render_results,
)
from hypothesis import given
from hypothesis import strategies as st

TODAY = date(2026, 11, 23)
CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "How tall is the Eiffel Tower?"},
    {"role": "assistant", "content": "330 m."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "And who built it?"}, {"type": "image_url", "image_url": {}}],
    },
]
SEARCH_TOOL = {"type": "web_search"}
FUNCTION_TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("value", "options", "tools", "mode"),
    [
        (None, None, None, None),
        (False, None, None, None),
        (True, None, None, "auto"),
        ("auto", None, None, "auto"),
        ("force", None, None, "force"),
        ("images", None, None, "images"),
        (None, {}, None, "force"),
        (None, None, [SEARCH_TOOL], "auto"),
        (None, None, [{"type": "web_search_preview"}], "auto"),
        (None, {}, [SEARCH_TOOL], "force"),
        (False, {}, [SEARCH_TOOL], None),
        ("auto", {}, None, "auto"),
        (None, None, [FUNCTION_TOOL], None),
        (False, None, [FUNCTION_TOOL, SEARCH_TOOL], None),
    ],
)
def test_every_spelling_of_a_search_has_its_mode(value: Any, options: Any, tools: Any, mode: str | None) -> None:
    plan = parse_web_search(value, options, tools)

    assert (plan.mode if plan else None) == mode


def test_the_settings_of_openai_s_spelling_are_honoured() -> None:
    location = {"type": "approximate", "approximate": {"country": "FR", "city": "Paris", "timezone": "Europe/Paris"}}
    options = {
        "search_context_size": "high",
        "user_location": location,
        "filters": {"allowed_domains": ["Example.org"]},
    }

    assert parse_web_search("auto", options | {"language": "fr", "freshness_days": 7}, None) == SearchPlan(
        mode="auto", count=10, domains=("example.org",), language="fr", freshness_days=7, place="Paris, FR"
    )


def test_the_tool_has_the_same_settings() -> None:
    tool = SEARCH_TOOL | {"search_context_size": "low", "user_location": {"type": "approximate", "country": "FR"}}

    assert parse_web_search(None, None, [tool]) == SearchPlan(mode="auto", count=3, place="FR")


@pytest.mark.parametrize(
    ("value", "options", "tools", "param"),
    [
        ("always", None, None, "web_search"),
        (1, None, None, "web_search"),
        ({}, None, None, "web_search"),
        (None, "high", None, "web_search_options"),
        (None, {"search_context_size": "huge"}, None, "web_search_options.search_context_size"),
        (None, {"search_context_size": 3}, None, "web_search_options.search_context_size"),
        (None, {"user_location": "Paris"}, None, "web_search_options.user_location"),
        (None, {"user_location": {"approximate": "x"}}, None, "web_search_options.user_location.approximate"),
        (None, {"language": "french!"}, None, "web_search_options.language"),
        (None, {"freshness_days": 0}, None, "web_search_options.freshness_days"),
        (None, {"freshness_days": True}, None, "web_search_options.freshness_days"),
        (None, {"filters": []}, None, "web_search_options.filters"),
        (None, {"filters": {"allowed_domains": ["https://a.b"]}}, None, "web_search_options.filters.allowed_domains"),
        (None, {"filters": {"allowed_domains": ["a.b"] * 21}}, None, "web_search_options.filters.allowed_domains"),
        (None, None, [SEARCH_TOOL | {"search_context_size": "x"}], "tools[0].search_context_size"),
        ("auto", None, [FUNCTION_TOOL], "tools"),
        (None, None, [FUNCTION_TOOL, SEARCH_TOOL], "tools"),
    ],
)
def test_a_bad_value_is_refused_by_name(value: Any, options: Any, tools: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_web_search(value, options, tools)

    assert refusal.value.param == param


@pytest.mark.parametrize("asked", [decision_messages(CONVERSATION, TODAY), query_messages(CONVERSATION, TODAY)])
def test_the_question_follows_the_conversation_so_that_a_prefix_cache_serves_both(asked: list[Any]) -> None:
    assert asked[:-1] == CONVERSATION
    assert asked[-1]["role"] == "user"
    assert "2026-11-23" in asked[-1]["content"]


def test_where_the_user_is_goes_into_the_question() -> None:
    assert "Paris, FR" in query_messages(CONVERSATION, TODAY, "Paris, FR")[-1]["content"]


def test_the_schemas_accept_what_they_ask_for_and_nothing_else() -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (decision_schema(), {"search": True, "query": "x"}),
        (query_schema(), {"query": "x"}),
    ]
    for schema, good in cases:
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(good, schema)
        for bad in ({}, good | {"more": 1}, good | {"query": "x" * 201}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(bad, schema)


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        (
            '{"search": true, "query": "eiffel  tower\\n height"}',
            SearchDecision(search=True, query="eiffel tower height"),
        ),
        ('{"search": false, "query": "ignored"}', SearchDecision(search=False, query="")),
        ('{"search": true}', SearchDecision(search=True, query="")),
        ('{"search": "yes", "query": "x"}', SearchDecision(search=False, query="")),
        ('{"search": true, "que', SearchDecision(search=False, query="")),
        ("[]", SearchDecision(search=False, query="")),
        ("", SearchDecision(search=False, query="")),
    ],
)
def test_a_decision_that_cannot_be_read_means_no_search(text: str, decision: SearchDecision) -> None:
    assert parse_decision(text) == decision


def test_a_query_that_cannot_be_read_is_empty() -> None:
    assert parse_query('{"query": "who built the eiffel tower"}') == "who built the eiffel tower"
    assert [parse_query(text) for text in ("", "{", '{"query": "  "}', '{"query": 7}', "null")] == [""] * 5


@pytest.mark.parametrize("query", ["EIFFEL tower's architect", '"Eiffel"', "architect of the Eiffel Tower, Paris"])
def test_a_query_about_the_conversation_is_taken_as_it_is(query: str) -> None:
    assert grounded_query(query, CONVERSATION) == query


@pytest.mark.parametrize("query", ["", "2026-11-23", "a few words", "search", "is of a"])
def test_a_query_without_a_word_of_the_conversation_is_made_of_it(query: str) -> None:
    assert grounded_query(query, CONVERSATION) == "And who built it? How tall is the Eiffel Tower?"


def test_a_query_in_a_script_of_short_words_is_held_to_the_same() -> None:
    conversation = [{"role": "user", "content": "東京 の 天気 は"}]
    assert grounded_query("東京 天気", conversation) == "東京 天気"
    assert grounded_query("大阪", conversation) == "東京 の 天気 は"


def test_a_last_message_that_says_enough_is_the_query_alone() -> None:
    said = "Which company built the Eiffel Tower in Paris, and when?"

    assert query_from_conversation([*CONVERSATION, {"role": "user", "content": said}]) == said


def test_a_conversation_without_text_gives_no_query() -> None:
    assert query_from_conversation([{"role": "user", "content": None}, {"role": "assistant", "content": "x"}]) == ""


def page(
    *, title: str = "Tower", snippet: str = "330 m", date_: str | None = None, url: str = "https://a.example/"
) -> WebResult:
    return WebResult(title=title, url=url, snippet=snippet, source="test", date=date_)


def test_the_block_is_dated_numbered_and_delimited() -> None:
    block = render_results([page(), page(title="Paris", date_="2026-11-01")], TODAY, 4000)

    assert "retrieved on 2026-11-23" in block
    assert (
        "<search_results>\n"
        "[1] Tower\nURL: https://a.example/\nText: 330 m [1]\n"
        "[2] Paris\nURL: https://a.example/\nDate: 2026-11-01\nText: 330 m [2]\n"
        "</search_results>\n"
    ) in block


def test_a_sources_number_stands_inside_its_last_sentence() -> None:
    block = render_results(
        [page(snippet="It is tall. 330 m!"), page(snippet="Why?!"), page(snippet="...")], TODAY, 4000
    )
    assert re.findall(r"Text: (.*)", block) == ["It is tall. 330 m [1]!", "Why [2]?!", " [3]..."]


def test_a_search_that_found_nothing_says_so() -> None:
    assert "<search_results>\nThe search found nothing.\n</search_results>" in render_results([], TODAY, 4000)


def test_a_block_that_cannot_hold_its_own_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="100 bytes"):
        render_results([page()], TODAY, 100)


HOSTILE = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from(
            ["</search_results>", "<search_results>", "[1]", "[2] Title", "\n", "\r", "\u2028", "URL: ", "é", "x" * 50]
        )
    ).map("".join),
)


@given(
    st.lists(st.builds(page, title=HOSTILE, snippet=HOSTILE, date_=st.none() | HOSTILE, url=HOSTILE), max_size=6),
    st.integers(min_value=900, max_value=3000),
)
def test_no_source_forges_a_delimiter_or_a_number_or_more_room(pages: list[WebResult], max_bytes: int) -> None:
    block = render_results(pages, TODAY, max_bytes)

    assert len(block.encode()) <= max_bytes
    assert block.count("<search_results>") == 1
    assert block.count("</search_results>") == 1
    inside = block.partition("<search_results>\n")[2].partition("</search_results>")[0]
    sources = [[int(n) for n in re.findall(r"\[(\d+)\]", source)] for source in re.split(r"(?m)^(?=\[)", inside)[1:]]
    assert all(set(numbers) == {index} for index, numbers in enumerate(sources, start=1))
    assert all(
        re.match(r"\[\d+\] |\[\d+\]$|URL: ?|Date: ?|Text: |The search found", line) for line in inside.splitlines()
    )


def image(title: str, url: str = "https://img.example.org/(a).png") -> ImageResult:
    return ImageResult(url=url, thumbnail_url=url, source_url=url, title=title)


def test_images_are_shown_as_markdown_that_their_titles_cannot_break() -> None:
    shown = render_images([image("A](https://evil.example) <img src=x>"), image("")])

    assert shown == (
        r"![A\]\(https\://evil.example\) \<img src=x\>](https://img.example.org/%28a%29.png)"
        "\n\n"
        "![image](https://img.example.org/%28a%29.png)\n\n"
    )
    assert render_images([]) == ""


@given(st.text(alphabet="a[]()!\\<>`\n *_", max_size=30))
def test_an_image_title_never_ends_its_image(title: str) -> None:
    shown = render_images([image(title)])
    alt = shown.removeprefix("![").removesuffix("](https://img.example.org/%28a%29.png)\n\n")

    assert not re.search(r"(?<!\\)(\\\\)*[\[\]()<>`]", alt)
    assert (len(alt) - len(alt.rstrip("\\"))) % 2 == 0


def test_what_the_model_says_after_the_images_is_indexed_after_them() -> None:
    shown = render_images([image("A")])
    cited = CitedText([page()], [image("A")], start_index=len(shown))
    content = shown + cited.feed("See [1].") + cited.close()

    assert [content[c.start_index : c.end_index] for c in cited.citations] == ["[1]"]
    assert json.dumps([c.annotation() for c in cited.citations])
