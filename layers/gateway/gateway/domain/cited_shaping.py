"""Shapers for answers that a search stands before: what was found may be cited, nothing else may be linked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.domain.citations import Citation, CitedText, json_citations
from gateway.domain.cited_json import CitedJson
from gateway.domain.search import ImageResult, WebResult
from gateway.domain.search_prompt import render_images
from gateway.domain.shaping import Delta, Shaper


class CitedShaper:
    """Text with citations: the images first, then the text as it comes, the annotations at the end."""

    def __init__(self, results: Sequence[WebResult], images: Sequence[ImageResult]) -> None:
        self._shown = render_images(images)
        self._text = CitedText(results, images, start_index=len(self._shown))

    def feed(self, text: str) -> list[Delta]:
        """See `Shaper.feed`."""
        return self._content(self._text.feed(text))

    def finish(self, reason: str) -> tuple[list[Delta], str]:
        """See `Shaper.finish`."""
        return [*self._content(self._text.close()), *_annotations(self._text.citations)], reason

    def _content(self, text: str) -> list[Delta]:
        shown, self._shown = self._shown, ""
        return [{"content": shown + text}] if shown or text else []


class CitedJsonShaper:
    """A JSON answer: what was not found is no link in its strings, and what they cite is told at the end."""

    def __init__(self, inner: Shaper, results: Sequence[WebResult], images: Sequence[ImageResult]) -> None:
        self._inner = inner
        self._results = results
        self._json = CitedJson(results, images)
        self._content: list[str] = []

    def feed(self, text: str) -> list[Delta]:
        """See `Shaper.feed`."""
        return self._told(self._json.feed(_content(self._inner.feed(text))))

    def finish(self, reason: str) -> tuple[list[Delta], str]:
        """See `Shaper.finish`."""
        last, reason = self._inner.finish(reason)
        deltas = self._told(self._json.feed(_content(last)) + self._json.close())
        return [*deltas, *_annotations(json_citations("".join(self._content), self._results))], reason

    def _told(self, text: str) -> list[Delta]:
        self._content.append(text)
        return [{"content": text}] if text else []


def _content(deltas: Sequence[Delta]) -> str:
    return "".join(delta["content"] for delta in deltas)


def _annotations(citations: Sequence[Citation]) -> list[dict[str, Any]]:
    return [{"annotations": [citation.annotation() for citation in citations]}] if citations else []
