"""Web search: what a request asks for, and what a back end returns, cleaned of what only looks like text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

Mode = Literal["auto", "force", "images"]

MAX_QUERY_CHARACTERS = 380
MAX_QUERY_WORDS = 40
"""Brave refuses more than 400 characters or 50 words; the rest is for the site operators an adapter adds."""

MAX_URL = 2048
MAX_TITLE_BYTES = 300
MAX_SNIPPET_BYTES = 2000
_MAX_RAW = 16_384  # characters of one field that are looked at at all: the parsers below see no more


@dataclass(frozen=True, slots=True, kw_only=True)
class WebResult:
    """One page that a search back end found. Text is plain: no HTML, no hidden characters, bounded."""

    title: str
    url: str
    snippet: str
    source: str
    date: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult:
    """One image that a search back end found; sizes in pixels where the back end tells them."""

    url: str
    thumbnail_url: str
    source_url: str
    title: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """What the request wants searched. `count` is results, or images in the mode "images".

    `place` is where the user says to be, for the writing of the query; no back end is told it otherwise.
    """

    mode: Mode
    count: int
    domains: tuple[str, ...] = ()
    language: str | None = None
    freshness_days: int | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchDecision:
    """Whether to search, and for what; `query` is empty where the model named none."""

    search: bool
    query: str


def web_result(*, title: Any, url: Any, snippet: Any, source: str, date: Any = None) -> WebResult | None:
    """A page as a vendor told it, made safe to show and to put into a prompt; None without a usable URL."""
    link = safe_url(url)
    if link is None:
        return None
    return WebResult(
        title=plain_text(title, max_bytes=MAX_TITLE_BYTES) or str(urlsplit(link).hostname),
        url=link,
        snippet=plain_text(snippet, max_bytes=MAX_SNIPPET_BYTES),
        source=source,
        date=plain_text(date, max_bytes=40) or None,
    )


def image_result(
    *, title: Any, url: Any, thumbnail_url: Any, source_url: Any, width: Any = None, height: Any = None
) -> ImageResult | None:
    """An image as a vendor told it; None without a usable URL.

    Where there is no thumbnail or page, the image stands for it.
    """
    link = safe_url(url)
    if link is None:
        return None
    return ImageResult(
        url=link,
        thumbnail_url=safe_url(thumbnail_url) or link,
        source_url=safe_url(source_url) or link,
        title=plain_text(title, max_bytes=MAX_TITLE_BYTES),
        width=_pixels(width),
        height=_pixels(height),
    )


Found = TypeVar("Found", WebResult, ImageResult)


def best_of(found: Iterable[Found | None], *, count: int, domains: Sequence[str] = ()) -> list[Found]:
    """The first `count` with different URLs, none outside `domains` (a domain holds its subdomains)."""
    kept: dict[str, Found] = {}
    for result in found:
        if result is not None and _within(result.url, domains):
            kept.setdefault(url_key(result.url), result)
    return list(kept.values())[:count]


def _within(url: str, domains: Sequence[str]) -> bool:
    host = urlsplit(url).hostname or ""
    return not domains or any(host == domain or host.endswith(f".{domain}") for domain in domains)


def url_key(url: str) -> str:
    """What is the same for two spellings of one address: the host in any case, with or without a last slash."""
    start, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{start.lower()}{separator}{host.lower()}{slash}{path}".rstrip("/")


def safe_url(value: Any) -> str | None:
    """An absolute http or https URL in ASCII, with a host and without credentials; None for anything else."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    if not text or len(text) > MAX_URL or "\\" in text or any(_is_unseen(c) or c.isspace() for c in text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except ValueError:  # a bad port or bracket; UnicodeError of a host that is no name is one too
        return None
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not _HOST.fullmatch(host):
        return None
    path, query, fragment = (quote(part, safe="/?%:@!$&'()*+,;=~") for part in parts[2:])
    url = urlunsplit((parts.scheme, host if port is None else f"{host}:{port}", path, query, fragment))
    return url if len(url) <= MAX_URL else None


_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")


def url_in_markdown(url: str) -> str:
    """A safe URL as it stands inside `](…)`."""
    return url.replace("(", "%28").replace(")", "%29")


def clean_query(text: str) -> str:
    """The text as one line that every back end takes: at most 380 characters and 40 words."""
    words = _one_line(text[:_MAX_RAW]).split()[:MAX_QUERY_WORDS]
    return " ".join(words)[:MAX_QUERY_CHARACTERS].rstrip()


def plain_text(value: Any, *, max_bytes: int) -> str:
    """The visible text of a piece of HTML as one line of at most `max_bytes` of UTF-8; "" for what is no string.

    Tags, scripts, styles, comments, elements marked as hidden, and characters that nobody sees are left out.
    """
    if not isinstance(value, str):
        return ""
    text = _seen(value[:_MAX_RAW])
    for _ in range(3):  # some vendors escape what they had escaped already
        if not _MARKUP.search(text):
            break
        text = _seen(_visible(text))  # each time: "<", a zero-width space and "b" are a tag once it is gone
    else:
        text = _MARKUP.sub(" ", text)
    return _one_line(text).encode()[:max_bytes].decode(errors="ignore").rstrip()


_MARKUP = re.compile(r"<[A-Za-z/!?]|&(?:#?\w+;)")


def _visible(markup: str) -> str:
    parser = _VisibleText()
    # html.parser looks for the end of a tag or comment again from each "<": quadratic where there is none, and
    # 32 kB of "<a " took 37 s (Python 3.11.7). Without comments and lone brackets it has nothing to look for.
    parser.feed(_LONE_BRACKET.sub("&lt;", _COMMENT.sub("", markup)))
    parser.close()
    return "".join(parser.pieces)


_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)|<[!?][^<>]*>", re.DOTALL)
_LONE_BRACKET = re.compile(r"<(?![^<>]*>)")


class _VisibleText(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            self.pieces.append(" ")
        elif self._hidden or tag in _UNSHOWN or _hides(attrs):
            self._hidden.append(tag)
        elif tag in _BLOCK:
            self.pieces.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<tag/>` opens and closes nothing that hides."""

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        elif tag in _BLOCK:
            self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)


_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_BLOCK = frozenset({"p", "div", "li", "ul", "ol", "td", "th", "tr", "h1", "h2", "h3", "h4", "section", "pre", "dd"})
_UNSHOWN = frozenset({"script", "style", "template", "noscript", "head", "svg", "math", "iframe", "object", "textarea"})
_HIDING_STYLE = re.compile(r"display:none|visibility:hidden|(?:opacity|font-size):0(?:\.0*)?(?:px|em|%)?(?:;|$)")


def _hides(attrs: list[tuple[str, str | None]]) -> bool:
    for name, value in attrs:
        if name == "hidden" or (name == "aria-hidden" and value == "true"):
            return True
        if name == "style" and _HIDING_STYLE.search("".join((value or "").lower().split())):
            return True
    return False


def _one_line(text: str) -> str:
    return " ".join(_seen(text).split())


def _seen(text: str) -> str:
    """The text without what nobody sees, and with a space for each control character."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(c) == "Cc" else c for c in text if not _is_unseen(c))


def _is_unseen(c: str) -> bool:
    """Zero-width, bidirectional and tag characters, private and unassigned ones, variation selectors, blank letters."""
    if c.isascii():
        return False
    return c in _BLANK or unicodedata.category(c) in ("Cf", "Co", "Cs", "Cn")


_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0").union(
    map(chr, range(0x180B, 0x1810)), map(chr, range(0xFE00, 0xFE10)), map(chr, range(0xE0100, 0xE01F0))
)


def _pixels(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 7:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1_000_000 else None
