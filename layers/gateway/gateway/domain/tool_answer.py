"""Reading what a model writes under `tools.answer_format`, while it writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from gateway.domain.json_closer import JsonCloser
from gateway.domain.json_distinct import DistinctPlaces
from gateway.domain.shaping import Delta, JsonShaper

# White space is tolerated wherever JSON allows it: vLLM's grammars let the model choose it.
_TEXT_HEAD = re.compile(r'\s*\{\s*"answer"\s*:\s*"')
_CALL_HEAD = re.compile(r'[\s,\[]*\{\s*"tool"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)')
_CALL_TAIL = re.compile(r"\s*\}")
_PLAIN = re.compile(r'[^"\\]*')
_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))')
_LONGEST_ESCAPE = 6
_UNESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_REPLACEMENT = "\ufffd"


class _Reading(Enum):
    HEAD = auto()
    TEXT = auto()
    ARGUMENTS = auto()
    TAIL = auto()
    DONE = auto()


class ToolAnswerShaper:
    """A `Shaper` for emulated tools: the text of an answer, or the calls, never both.

    `new_id` gives each call its id (`call_…`); `distinct` has the tools whose arguments have lists that repeat nothing.
    """

    def __init__(self, new_id: Callable[[], str], *, distinct: Mapping[str, DistinctPlaces] | None = None) -> None:
        self._new_id = new_id
        self._distinct = distinct or {}
        self._reading = _Reading.HEAD
        self._buffer = ""
        self._calls = 0
        self._arguments = JsonCloser("object")
        self._shaped: JsonShaper | None = None
        self._high_surrogate = ""

    def feed(self, text: str) -> list[dict[str, Any]]:
        """The deltas that this piece makes certain."""
        self._buffer += text
        deltas: list[dict[str, Any]] = []
        before = None
        while self._buffer and before != (self._reading, self._buffer):
            before = (self._reading, self._buffer)
            deltas += self._step()
        return deltas

    def finish(self, reason: str) -> tuple[list[dict[str, Any]], str]:
        """The last deltas and the finish_reason: `tool_calls` for whole calls, `length` for a cut one."""
        if self._reading is _Reading.TEXT:
            return self._content(_REPLACEMENT if self._high_surrogate else ""), reason
        if self._reading is _Reading.ARGUMENTS:
            if self._shaped is None:
                return self._argument_pieces(self._content(self._arguments.closing())), "length"
            return self._argument_pieces(self._shaped.finish(reason)[0]), "length"
        if self._calls:
            return [], "tool_calls" if reason == "stop" else reason
        # An engine that did not hold the grammar: what it wrote is better than nothing.
        stray = self._buffer if self._reading is _Reading.HEAD and reason == "stop" else ""
        return self._content(stray), reason

    def _step(self) -> list[dict[str, Any]]:
        match self._reading:
            case _Reading.HEAD:
                return self._head()
            case _Reading.TEXT:
                return self._text()
            case _Reading.ARGUMENTS:
                taken = self._arguments.take(self._buffer)
                piece, self._buffer = self._buffer[:taken], self._buffer[taken:]
                if self._arguments.complete:
                    self._reading = _Reading.TAIL
                return self._argument_pieces(self._content(piece) if self._shaped is None else self._shaped.feed(piece))
            case _Reading.TAIL:
                if tail := _CALL_TAIL.match(self._buffer):
                    self._buffer = self._buffer[tail.end() :]
                    self._reading = _Reading.HEAD
            case _Reading.DONE:
                self._buffer = ""
        return []

    def _head(self) -> list[dict[str, Any]]:
        if not self._calls and (text := _TEXT_HEAD.match(self._buffer)):
            self._buffer = self._buffer[text.end() :]
            self._reading = _Reading.TEXT
            return []
        call = _CALL_HEAD.match(self._buffer)
        if call is None:
            return []
        self._buffer = self._buffer[call.end() :]
        self._reading = _Reading.ARGUMENTS
        name = json.loads(call.group(1))
        self._arguments = JsonCloser("object")
        places = self._distinct.get(name)
        # what is shown is another text than what was written only where something may be left out of it
        self._shaped = None if places is None else JsonShaper("object", distinct=places)
        self._calls += 1
        function = {"name": name, "arguments": ""}
        head = {"index": self._calls - 1, "id": self._new_id(), "type": "function", "function": function}
        return [{"tool_calls": [head]}]

    def _text(self) -> list[dict[str, Any]]:
        """All the text of the buffer up to its end, the closing quote, or an escape that is not whole yet."""
        texts: list[str] = []
        position = 0
        while position < len(self._buffer):
            end = _PLAIN.match(self._buffer, position).end()  # type: ignore[union-attr]  # matches nothing at worst
            if end > position:
                texts.append(self._unpaired() + self._buffer[position:end])
            position = end
            if position == len(self._buffer):
                break
            if self._buffer[position] == '"':
                texts.append(self._unpaired())
                self._reading = _Reading.DONE
                break
            escape = _ESCAPE.match(self._buffer, position)
            if escape is None:
                if len(self._buffer) - position < _LONGEST_ESCAPE:
                    break
                position += 1  # not JSON: a lone backslash is dropped rather than waited on for ever
                continue
            texts.append(self._unescaped(escape))
            position = escape.end()
        self._buffer = self._buffer[position:]
        return self._content("".join(texts))

    def _unescaped(self, escape: re.Match[str]) -> str:
        short, digits = escape.groups()
        if short is not None:
            return self._unpaired() + _UNESCAPED.get(short, short)
        code = int(digits, 16)
        if 0xD800 <= code <= 0xDBFF:
            before = self._unpaired()
            self._high_surrogate = chr(code)
            return before
        if 0xDC00 <= code <= 0xDFFF:
            high, self._high_surrogate = self._high_surrogate, ""
            if not high:
                return _REPLACEMENT
            return (high + chr(code)).encode("utf-16", "surrogatepass").decode("utf-16")
        return self._unpaired() + chr(code)

    def _unpaired(self) -> str:
        """U+FFFD for a high surrogate that its other half did not follow."""
        alone, self._high_surrogate = self._high_surrogate, ""
        return _REPLACEMENT if alone else ""

    def _content(self, text: str) -> list[dict[str, Any]]:
        return [{"content": text}] if text else []

    def _argument_pieces(self, deltas: list[Delta]) -> list[Delta]:
        return [
            {"tool_calls": [{"index": self._calls - 1, "function": {"arguments": delta["content"]}}]}
            for delta in deltas
        ]
