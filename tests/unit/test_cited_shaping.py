"""Answers after a search: text with its images and citations, JSON with its citations beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from gateway.domain.cited_shaping import CitedJsonShaper, CitedShaper
from gateway.domain.search import ImageResult, WebResult
from gateway.domain.shaping import JsonShaper, Shaper
from hypothesis import given
from hypothesis import strategies as st

PAGES = [WebResult(title=f"Page {n}", url=f"https://page{n}.example/", snippet="", source="test") for n in (1, 2)]
IMAGES = [
    ImageResult(
        url="https://img.example/%C3%A9.png",
        thumbnail_url="https://img.example/t.png",
        source_url="https://page1.example/",
        title="Häuser [1] 🎉",
    )
]
ANSWERS = st.lists(
    st.sampled_from(
        ["[1]", "[2]", "[3]", " x ", "🎉", "é", "[1](https://evil.example/)", "![a](https://evil.example/)"]
    ),
    max_size=12,
).map("".join)


def shaped(shaper: Shaper, pieces: Sequence[str], reason: str = "stop") -> tuple[str, list[dict[str, Any]], str]:
    """Content, annotations and finish reason; fails for an empty delta or content behind the annotations."""
    deltas = [delta for piece in pieces for delta in shaper.feed(piece)]
    last, reason = shaper.finish(reason)
    deltas += last
    assert all(delta and all(delta.values()) for delta in deltas)
    assert ["annotations" in delta for delta in deltas] == sorted("annotations" in delta for delta in deltas)
    content = "".join(delta.get("content", "") for delta in deltas)
    annotations = [one["url_citation"] for delta in deltas for one in delta.get("annotations", ())]
    return content, annotations, reason


def cut_at(text: str, points: list[int]) -> list[str]:
    edges = [0, *sorted(point % (len(text) + 1) for point in points), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@given(ANSWERS, st.lists(st.integers(0, 200), max_size=6), st.booleans())
def test_citations_point_at_their_markers_behind_the_images_however_the_text_comes(
    text: str, points: list[int], with_images: bool
) -> None:
    images = IMAGES if with_images else []
    content, annotations, _ = shaped(CitedShaper(PAGES, images), cut_at(text, points))
    assert (content, annotations) == shaped(CitedShaper(PAGES, images), [text])[:2]
    assert content.startswith("![") == with_images or content.startswith("[")
    assert "evil.example" not in content
    for one in annotations:
        number = int(content[one["start_index"] : one["end_index"]].strip("[]"))
        assert one["url"] == PAGES[number - 1].url


def test_images_are_shown_even_where_the_model_says_nothing() -> None:
    content, annotations, reason = shaped(CitedShaper([], IMAGES), [], "length")
    assert content.startswith("![Häuser")
    assert (annotations, reason) == ([], "length")


def test_an_answer_without_markers_has_no_annotations() -> None:
    assert shaped(CitedShaper(PAGES, []), ["Nothing ", "cited."]) == ("Nothing cited.", [], "stop")


@given(st.integers(0, 60))
def test_json_leaves_unchanged_and_parses_wherever_it_is_cut(length: int) -> None:
    text = '{"list": [1, 2], "why": "é [1]", "more": "[2], [9]"}'
    content, annotations, reason = shaped(CitedJsonShaper(JsonShaper(), PAGES, IMAGES), [text[:length]], "length")
    json.loads(content)
    assert content.startswith(text[:length]) or not text[:length]
    assert reason == "length"
    assert all(content[one["start_index"] : one["end_index"]] in ("[1]", "[2]") for one in annotations)
    if length >= len(text):
        assert [one["url"] for one in annotations] == [page.url for page in PAGES]
