"""An answer made of search results, on its way out: citations are found, invented links are taken apart.

The transformer takes the model's text piece by piece and gives back what may leave, holding only what could still
become a marker, a link or a URL. However the text is cut, what leaves is the same. Its rules, in order:

* `[1]`, `[1, 2]`, `[1][2]` stay as written, and each number with a source becomes a `Citation`. A number without a
  source stays as plain text: taking it out would break `a[7]` in a piece of code, leaving it harms nobody.
* A link whose text is a source's number is that marker, wherever it points.
* A Markdown link to a page of the result set, an image of it, and a bare URL of either leave with the URL exactly as
  the back end told it.
* Any other image leaves as its alt text, any other link as its text, any other bare URL as its host name.
* Two characters that would still form a link, an image, a link definition or an HTML tag with attributes get a space
  between them. This is checked on what leaves, so nothing that the rules above leave over can join up again.

Renderers that make links of bare host names (`example.com`) do so at their own judgement. Mail addresses stay.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.search import MAX_URL, ImageResult, WebResult, url_in_markdown, url_key

MAX_LABEL = 256
"""Characters of a link's text; a longer one is no link to us, and the spacing rule makes it none to anybody."""
MAX_NESTING = 32
"""Brackets within brackets; cmark gives up there too. It keeps a run of brackets from being read over and over."""

_MAX_TARGET = MAX_URL + 256
_MARKER = re.compile(r"\[ ?\d{1,3}(?: ?, ?\d{1,3})* ?\]")
_NUMBER = re.compile(r"\d+")
_SCHEME = re.compile(r"(?:https?|ftp)://|www\.", re.IGNORECASE)
_SCHEMES = ("https://", "http://", "ftp://", "www.")
_SPECIAL = re.compile(r"!\[|[\[<&\\]|(?:https?|ftp)://|www\.", re.IGNORECASE)
_URL_RUN = re.compile(rf"[^\s<>\"`\[\]{{}}|\\^]{{1,{_MAX_TARGET}}}")
_TRAILING = "?!.,:;*_~'\""
_TARGET = re.compile(r"\s*(?:<([^<>\s]*)>|([^<>\s]*))(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*")
_LOOKS_LIKE_URL = re.compile(r"\s*<|\s*[/#?]|\s*[A-Za-z][A-Za-z0-9+.-]*:|\s*www\.|.*[/&%]")
_BARE_TAG = re.compile(r"<[A-Za-z][A-Za-z0-9]{0,31}/?>")
_MAYBE_BARE_TAG = re.compile(r"<(?:[A-Za-z][A-Za-z0-9]{0,31}/?)?\Z")
_ACTIVE_TAGS = frozenset({"script", "style", "svg", "math", "xmp", "textarea", "title", "iframe", "plaintext"})
_REFERENCE = re.compile(r"&(?:#0{0,6}\d{1,3}|#[xX]0{0,6}[0-9A-Fa-f]{1,2}|colon|sol|period);")
_MAYBE_REFERENCE = re.compile(r"&[#A-Za-z0-9]{0,10}\Z")
_LINK_SEAM = re.compile(r"\](?=[(:])")
_JOINS = re.compile(r"!\[|\]\(|\]:|<[A-Za-z]|(?:https?|ftp)://|www\.", re.IGNORECASE)
_SCHEME_SO_FAR = re.compile(r"(?:(?:https?|ftp)(?::/?)?|www)\Z", re.IGNORECASE)
_LONGEST_JOIN = len("https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """One source cited: `content[start_index:end_index]` is the marker, in Unicode code points of the final content."""

    start_index: int
    end_index: int
    url: str
    title: str

    def annotation(self) -> dict[str, Any]:
        """As it stands in `message.annotations` (OpenAI's shape)."""
        return {
            "type": "url_citation",
            "url_citation": {
                "start_index": self.start_index,
                "end_index": self.end_index,
                "url": self.url,
                "title": self.title,
            },
        }


class CitedText:
    """The transformer for one answer (one choice): `feed` each piece, `close` at the end.

    Source number n is `results[n - 1]`. `start_index` is how many code points of content left before the first piece.
    """

    def __init__(
        self, results: Sequence[WebResult], images: Sequence[ImageResult] = (), *, start_index: int = 0
    ) -> None:
        self._sources = results
        self._citations: list[Citation] = []
        pages = [result.url for result in results] + [image.source_url for image in images]
        pictures = [url for image in images for url in (image.url, image.thumbnail_url)]
        self._pictures = {url_key(url): url for url in reversed(pictures)}
        self._links = self._pictures | {url_key(url): url for url in reversed(pages)}
        self._held = ""
        self._out: list[str] = []
        self._length = start_index
        self._tail = ""
        self._after_url = False
        self._handlers = {
            "!": self._bracket,
            "[": self._bracket,
            "<": self._angle,
            "&": self._reference,
            "\\": self._backslash,
        }

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The citations in the text that has left so far, in order."""
        return tuple(self._citations)

    def feed(self, text: str) -> str:
        """What may leave now."""
        self._held += text
        return self._drain(final=False)

    def close(self) -> str:
        """What was still held."""
        return self._drain(final=True)

    def _drain(self, *, final: bool) -> str:
        while self._held and self._step(final=final):
            pass
        released = "".join(self._out)
        self._out.clear()
        return released

    def _step(self, *, final: bool) -> bool:
        """Handle what is first in the held text; False when it takes more text to tell what that is."""
        special = _SPECIAL.search(self._held)
        plain = special.start() if special else len(self._held)
        if not special and not final:
            plain -= _undecided(self._held)
        if plain:
            return self._pass(plain)
        return special is not None and self._handlers.get(self._held[0], self._bare_url)(final=final)

    # Each of the following handles one thing at the front of the held text, and answers like `_step`.

    def _bracket(self, *, final: bool) -> bool:
        held = self._held
        opening = held.index("[")
        closing = _closing(held, opening, limit=MAX_LABEL, brackets="[]")
        after = closing + 1
        if not final and (closing == _LATER or after == len(held)):
            return False
        if closing < 0:
            return self._pass(opening + 1)
        if held[after : after + 1] != "(":
            return self._marker(opening, after)
        end = _closing(held, after, limit=_MAX_TARGET, brackets="()")
        if end == _LATER and not final:
            return False
        if end < 0:
            return self._pass(opening + 1)
        return self._link(label=held[opening + 1 : closing], target=held[after + 1 : end], end=end + 1)

    def _marker(self, opening: int, after: int) -> bool:
        marker = self._held[opening:after]
        if not _MARKER.fullmatch(marker):
            return self._pass(opening + 1)
        self._pass(opening)
        self._held = self._held[len(marker) :]
        self._leave(marker)
        self._cite(marker)
        return True

    def _link(self, *, label: str, target: str, end: int) -> bool:
        is_image = self._held.startswith("!")
        parsed = _TARGET.fullmatch(target)
        address = (parsed[1] or parsed[2] or "") if parsed else ""
        known = (self._pictures if is_image else self._links).get(url_key(address))
        rest = self._held[end:]
        if not is_image and self._has_source(f"[{label}]"):
            self._held = f"[{label}]{rest}"
        elif known is not None:
            self._held = rest
            inner = CitedText(())  # a linked image: only its alt text is left of it
            text = _label_text(inner.feed(label) + inner.close())
            self._leave(f"{'!' if is_image else ''}[{text}]({url_in_markdown(known)})")
        elif is_image or _LOOKS_LIKE_URL.match(target):
            self._held = label + rest
        else:  # an index and a call, `handlers[name](event)`: kept, with the space that makes it no link
            self._pass(1)
        return True

    def _angle(self, *, final: bool) -> bool:
        tag = _BARE_TAG.match(self._held)
        if tag and tag[0].strip("</>").lower() not in _ACTIVE_TAGS:
            self._held = self._held[tag.end() :]
            self._leave(tag[0])
            return True
        if not final and _MAYBE_BARE_TAG.match(self._held):
            return False
        return self._pass(1)

    def _reference(self, *, final: bool) -> bool:
        """`&#58;` for a letter, a colon, a slash or a dot is read as that: renderers read it before they find links."""
        reference = _REFERENCE.match(self._held)
        if reference is None:
            return False if not final and _MAYBE_REFERENCE.match(self._held) else self._pass(1)
        character = html.unescape(reference[0])
        if not (character.isascii() and character.isalnum()) and character not in ":/.":
            return self._pass(1)
        self._held = character + self._held[reference.end() :]
        return True

    def _backslash(self, *, final: bool) -> bool:
        """`https:\\//` is a URL to a renderer: the backslash goes, so that the spacing rule sees what it will see."""
        if len(self._held) == 1 and not final:
            return False
        if self._held[1:2] in tuple(":/.") and _SCHEME_SO_FAR.search(self._tail):
            self._held = self._held[1:]
            return True
        return self._pass(1)

    def _bare_url(self, *, final: bool) -> bool:
        run = _URL_RUN.match(self._held)
        assert run is not None  # a scheme matched here
        if run.end() == len(self._held) and run.end() < _MAX_TARGET and not final:
            return False
        address = run[0].rstrip(_TRAILING)
        while address.endswith(")") and address.count(")") > address.count("("):
            address = address[:-1].rstrip(_TRAILING)
        schemes = ("https://", "http://") if address.lower().startswith("www") else ("",)
        known = next((self._links[key] for s in schemes if (key := url_key(s + address)) in self._links), None)
        self._held = self._held[max(len(address), 1) :]
        if known is None:
            self._leave(_host(address))
            return True
        self._leave(known)
        self._after_url = True
        return True

    def _pass(self, count: int) -> bool:
        """Let the first `count` characters leave as plain text."""
        text, self._held = self._held[:count], self._held[count:]
        self._leave(_LINK_SEAM.sub("] ", text))
        return True

    def _leave(self, text: str) -> None:
        """Add `text` to what leaves, with a space before it, or inside it, where it would join up with what left."""
        if not text:
            return
        if self._after_url:
            bare = text.lstrip(_TRAILING + ")")
            if bare:
                if not (bare[0].isspace() or bare[0] == "<"):
                    text = f"{text[: len(text) - len(bare)]} {bare}"
                self._after_url = False
        joined = self._tail + text[:_LONGEST_JOIN]
        seam = len(self._tail)
        if any(join.start() < seam < join.end() for join in _JOINS.finditer(joined)):
            text = f" {text}"
        self._out.append(text)
        self._length += len(text)
        self._tail = (self._tail + text)[-_LONGEST_JOIN:]

    def _has_source(self, marker: str) -> bool:
        if not _MARKER.fullmatch(marker):
            return False
        return any(1 <= int(number) <= len(self._sources) for number in _NUMBER.findall(marker))

    def _cite(self, marker: str) -> None:
        self._citations += _citations(marker, self._sources, start=self._length - len(marker))


def json_citations(content: str, results: Sequence[WebResult]) -> tuple[Citation, ...]:
    """The citations inside the strings of a JSON answer, which itself stays untouched.

    Outside a string `[1]` is an array. The indices are code points of `content`, the JSON text as it is sent.
    """
    found: list[Citation] = []
    for string in _JSON_STRING.finditer(content):
        for marker in _MARKER.finditer(content, string.start(), string.end()):
            found += _citations(marker[0], results, start=marker.start())
    return tuple(found)


_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def _citations(marker: str, sources: Sequence[WebResult], *, start: int) -> list[Citation]:
    numbers = dict.fromkeys(int(number) for number in _NUMBER.findall(marker))
    return [
        Citation(
            start_index=start,
            end_index=start + len(marker),
            url=sources[number - 1].url,
            title=sources[number - 1].title,
        )
        for number in numbers
        if 1 <= number <= len(sources)
    ]


def _undecided(text: str) -> int:
    """How many of the last characters could be the start of something."""
    if text.endswith("!"):
        return 1
    end = text[-_LONGEST_JOIN:].lower()
    return max(
        (n for scheme in _SCHEMES for n in range(1, min(len(scheme), len(end) + 1)) if end.endswith(scheme[:n])),
        default=0,
    )


_NEVER, _LATER = -1, -2


def _closing(text: str, opening: int, *, limit: int, brackets: str) -> int:
    """Where the bracket at `opening` closes; _NEVER if it can not, _LATER if more text may tell."""
    depth = 0
    escaped = False
    for index in range(opening, min(len(text), opening + limit)):
        c = text[index]
        if escaped:
            escaped = False
        elif c == "\\":
            escaped = True
        elif c == brackets[0]:
            depth += 1
            if depth > MAX_NESTING:
                return _NEVER
        elif c == brackets[1]:
            depth -= 1
            if depth == 0:
                return index
        elif c == "\n" and text[index - 1] == "\n":
            return _NEVER
    return _LATER if len(text) - opening < limit else _NEVER


def _label_text(label: str) -> str:
    """A label as text that holds no link, image, tag or URL of its own."""
    text = html.unescape(label).translate(_NO_SYNTAX)
    return " ".join(_SCHEME.sub(" ", text).split()) or "link"


_NO_SYNTAX = dict.fromkeys(map(ord, "[]<>`\\"))


def _host(address: str) -> str:
    """The host name of an address, never empty, without what makes renderers see a link."""
    authority = re.split(r"[/?#]", address.partition("://")[2] or address)[0]
    host = re.sub(r"[^\w.-].*", "", authority.rpartition("@")[2])
    while _SCHEME.search(host):
        host = _SCHEME.sub("", host)
    return host.strip(".-_") or "link"
