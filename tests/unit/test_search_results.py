"""What a vendor told, made safe (`gateway.domain.search`)."""

from __future__ import annotations

import unicodedata
from urllib.parse import urlsplit

import pytest
from gateway.domain.search import (
    MAX_QUERY_CHARACTERS,
    MAX_QUERY_WORDS,
    MAX_URL,
    best_of,
    clean_query,
    image_result,
    plain_text,
    safe_url,
    url_in_markdown,
    web_result,
)
from hypothesis import given
from hypothesis import strategies as st

MARKUP = st.lists(
    st.sampled_from(
        ["<b>", "</b>", "<script>", "</script>", "<style>", "<!--", "-->", "<div hidden>", "</div>", "<", ">", "&lt;",
         "&amp;lt;", "&#60;", "&nbsp;", "a", " ", "\n", "\u200b", "\u202e", "\U000e0041", "\x00", "é",
         "<p style='display:none'>"]
    ),
    max_size=20,
).map("".join)  # fmt: skip


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<strong>Bold</strong> &amp; <em>fine</em>", "Bold & fine"),
        ("one<br>two<p>three</p>four", "one two three four"),
        ("a<script>steal()</script>b<style>p{}</style>c", "abc"),
        ("a<!-- hidden -->b", "ab"),
        ("a<div hidden>no</div>b", "ab"),
        ("a<span style='color: red; display : none'>no <i>not</i></span>b", "ab"),
        ("a<span style='font-size:0'>no</span><span style='opacity:0.9'>b</span>", "ab"),
        ("a<span aria-hidden='true'>no</span>b", "ab"),
        ("shown <div hidden>and then nothing is closed", "shown"),
        ("&lt;b&gt;escaped&lt;/b&gt; twice", "escaped twice"),
        ("&amp;lt;img src=x onerror=y&amp;gt;", ""),
        ("zero\u200bwidth\u2060 and \u202ereversed\u202c \U000e0041tag", "zerowidth and reversed tag"),
        ("<\u200bscript>no</script>b<&#8203;i>c", "bc"),
        ("tab\tline\nnul\x00bell\x07", "tab line nul bell"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("Tom & Jerry", "Tom & Jerry"),
        (None, ""),
        (7, ""),
        (["<b>"], ""),
    ],
)
def test_only_visible_text_is_left_of_markup(markup: object, text: str) -> None:
    assert plain_text(markup, max_bytes=200) == text


@given(st.one_of(MARKUP, st.text()), st.integers(min_value=0, max_value=60))
def test_plain_text_is_one_bounded_line_without_tags_or_unseen_characters(markup: str, max_bytes: int) -> None:
    text = plain_text(markup, max_bytes=max_bytes)

    assert len(text.encode()) <= max_bytes
    assert text == " ".join(text.split())
    assert not any(f"<{c}" in text for c in "abps/!?")
    assert not {unicodedata.category(c) for c in text} & {"Cc", "Cf", "Cs", "Co", "Cn"}


@pytest.mark.timeout(10)  # the parser alone takes minutes for these
@pytest.mark.parametrize(
    "piece", ["<a ", "<!--", "<!--x>", "<![x>", "<!", "<?", "</", "<script", "&#", "<a b='", "< a"]
)
def test_markup_that_never_ends_is_read_in_one_pass(piece: str) -> None:
    assert len(plain_text(piece * 30_000, max_bytes=100).encode()) <= 100


@given(st.one_of(MARKUP, st.text()))
def test_a_query_is_one_line_that_every_back_end_takes(text: str) -> None:
    query = clean_query(text * 40)

    assert len(query) <= MAX_QUERY_CHARACTERS
    assert len(query.split()) <= MAX_QUERY_WORDS
    assert query == " ".join(query.split())


@pytest.mark.parametrize(
    ("given_url", "url"),
    [
        ("https://example.org/a?b=c#d", "https://example.org/a?b=c#d"),
        (" http://EXAMPLE.org ", "http://example.org"),
        ("https://example.org:8443/", "https://example.org:8443/"),
        ("https://example.org/wiki/Tower_(Paris)", "https://example.org/wiki/Tower_(Paris)"),
        ("https://example.org/é?q=ü", "https://example.org/%C3%A9?q=%C3%BC"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ('https://example.org/"><script>', "https://example.org/%22%3E%3Cscript%3E"),
    ],
)
def test_a_url_comes_out_absolute_and_in_ascii(given_url: str, url: str) -> None:
    assert safe_url(given_url) == url
    assert safe_url(url) == url


@pytest.mark.parametrize(
    "value",
    [
        "javascript:alert(1)", "data:text/html,x", "ftp://example.org/", "file:///etc/passwd", "//example.org", "/a",
        "", "https://", "https:///path", "https://user:pw@example.org/", "https://user@example.org/",
        "https://a b.example/",
        "https://example.org\\@evil.example/", "https://example.org/\u202e", "https://example.org/a\nb", "https://[::1",
        "https://example.org:port/", "https://example.org/" + "x" * MAX_URL,
        "https://exa<mple.org/", None, 7, b"https://a.b",
    ],
)  # fmt: skip
def test_what_is_no_plain_web_address_is_refused(value: object) -> None:
    assert safe_url(value) is None


@given(st.one_of(st.text(), st.text(alphabet="htps:/.@#?[]%é\u202e a1\\-").map("https://".__add__)))
def test_a_safe_url_stays_itself_and_holds_nothing_that_ends_a_link(text: str) -> None:
    url = safe_url(text)
    if url is not None:
        assert urlsplit(url).scheme in ("http", "https")
        assert urlsplit(url).hostname
        assert url.isascii()
        assert not set(url_in_markdown(url)) & set(' <>()"\\`\n\t')
        assert safe_url(url) == url


def test_a_page_without_a_title_is_called_by_its_host() -> None:
    page = web_result(title="<b></b>", url="https://www.example.org/a", snippet=None, source="test")

    assert page is not None
    assert (page.title, page.snippet, page.date) == ("www.example.org", "", None)


def test_an_image_without_a_usable_address_is_no_image() -> None:
    assert image_result(title="x", url="javascript:1", thumbnail_url="https://a.example/", source_url=None) is None


@pytest.mark.parametrize(("told", "pixels"), [(800, 800), ("800", 800), ("800px", None), (-1, None), (True, None)])
def test_a_size_that_is_no_number_of_pixels_is_left_out(told: object, pixels: int | None) -> None:
    image = image_result(title="x", url="https://a.example/", thumbnail_url="", source_url="", width=told)

    assert image is not None
    assert image.width == pixels


def test_domains_hold_their_subdomains_and_nothing_that_only_ends_alike() -> None:
    urls = [
        "https://a.example.org/",
        "https://example.org/",
        "https://notexample.org/",
        "https://example.org.evil.example/",
    ]
    pages = [web_result(title="x", url=url, snippet="", source="test") for url in urls]

    assert [page.url for page in best_of(pages, count=9, domains=["example.org"])] == urls[:2]
