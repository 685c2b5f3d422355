"""What is missing at the end of a JSON text that was cut anywhere."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Literal

Top = Literal["object", "array", "value"]

_EMPTY: dict[Top, str] = {"object": "{}", "array": "[]", "value": "null"}
_LITERALS = {"t": "true", "f": "false", "n": "null"}

_WHITESPACE = re.compile(r"[ \t\n\r]*")
# RFC 8259, section 7: a control character in a string must be escaped.
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_NUMERIC = re.compile(r"[0-9+\-.eE]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_ESCAPE_BEGUN = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_LONGEST_ESCAPE = 6


class _At(Enum):
    VALUE = auto()
    FIRST_ITEM = auto()
    FIRST_KEY = auto()
    KEY = auto()
    COLON = auto()
    AFTER = auto()
    STRING = auto()
    LITERAL = auto()
    NUMBER = auto()
    END = auto()


_MISSING = {_At.VALUE: "null", _At.KEY: '"":null', _At.COLON: ":null"}


class JsonCloser:
    """Follows a JSON text that comes in pieces and knows at each moment how to end it.

    `top` is the type of the whole when nothing but white space was fed.
    """

    def __init__(self, top: Top = "object") -> None:
        self._top = top
        self._at = _At.VALUE
        self._closers: list[str] = []
        self._partial = ""
        self._in_key = False
        self._half_pair = False
        self._started = False
        self._broken = False

    @property
    def complete(self) -> bool:
        """The top value has ended, or is a number that may stand as it is."""
        if self._broken:
            return False
        whole_number = self._at is _At.NUMBER and not self._closers and _NUMBER.fullmatch(self._partial) is not None
        return self._at is _At.END or whole_number

    @property
    def broken(self) -> bool:
        """What was fed is no beginning of any JSON text, or goes on after its end."""
        return self._broken

    def feed(self, text: str) -> None:
        """Follow the next piece; it may be cut anywhere, inside an escape too."""
        taken = self.take(text)
        if not self._broken and _WHITESPACE.fullmatch(text, taken) is None:
            self._broken = True

    def take(self, text: str) -> int:
        """Follow the next piece up to the end of the top value; answers how many characters belonged to it."""
        position = 0
        while position < len(text) and self._at is not _At.END and not self._broken:
            if self._at is _At.STRING:
                position = self._string(text, position)
            elif self._at is _At.NUMBER:
                position = self._number(text, position)
            elif self._at is _At.LITERAL:
                position = self._literal(text, position)
            else:
                position = _WHITESPACE.match(text, position).end()  # type: ignore[union-attr]  # matches nothing at worst
                if position < len(text):
                    self._structural(text[position])
                    position += 1
        return position

    def closing(self) -> str:
        """The text that makes what was fed parse; empty when it parses already.

        Emitted text can't be taken back in a stream, so a half escape is completed, never dropped.
        A text that is `broken` can't be mended: the answer is then empty.
        """
        if self._broken or self._at is _At.END:
            return ""
        if not self._started:
            return _EMPTY[self._top]
        return self._value_end() + "".join(reversed(self._closers))

    def _value_end(self) -> str:
        if self._at is _At.STRING:
            return self._string_end() + '"' + (":null" if self._in_key else "")
        if self._at is _At.NUMBER:
            return "" if _NUMBER.fullmatch(self._partial) else "0"
        if self._at is _At.LITERAL:
            return _LITERALS[self._partial[0]][len(self._partial) :]
        return _MISSING.get(self._at, "")

    def _string_end(self) -> str:
        if not self._partial:
            return r"\udc00" if self._half_pair else ""
        if self._partial == "\\":
            # Behind a high surrogate only its other half makes a character; else a line feed is the least visible.
            return "udc00" if self._half_pair else "n"
        digits = self._partial[2:]
        if self._half_pair and "dc00".startswith(digits.lower()):
            return "dc00"[len(digits) :]
        # A space (U+0020) where the digits allow it, and never U+0000, which databases refuse.
        rest = "a" if digits == "000" else "0020"[len(digits) :]
        return rest + (r"\udc00" if _is_high_surrogate(digits + rest) else "")

    def _string(self, text: str, position: int) -> int:
        if self._partial:
            return self._escape(text, position)
        end = _PLAIN.match(text, position).end()  # type: ignore[union-attr]  # matches nothing at worst
        if end > position:
            self._half_pair = False
        if end == len(text):
            return end
        if text[end] == '"':
            self._half_pair = False
            self._at = _At.COLON if self._in_key else self._after_value()
        elif text[end] == "\\":
            self._partial = "\\"
        else:
            self._broken = True
        return end + 1

    def _escape(self, text: str, position: int) -> int:
        begun = len(self._partial)
        escape = self._partial + text[position : position + _LONGEST_ESCAPE - begun]
        if whole := _ESCAPE.match(escape):
            self._partial = ""
            self._half_pair = _is_high_surrogate(whole.group()[2:])
            return position + whole.end() - begun
        self._partial = escape
        self._broken = _ESCAPE_BEGUN.fullmatch(escape) is None
        return len(text)

    def _number(self, text: str, position: int) -> int:
        end = _NUMERIC.match(text, position).end()  # type: ignore[union-attr]  # matches nothing at worst
        self._partial += text[position:end]
        if end < len(text):
            self._end_number()
        elif not self._may_become_number():
            self._broken = True
        return end

    def _end_number(self) -> None:
        self._broken = _NUMBER.fullmatch(self._partial) is None
        self._partial = ""
        self._at = self._after_value()

    def _may_become_number(self) -> bool:
        return bool(_NUMBER.fullmatch(self._partial) or _NUMBER.fullmatch(self._partial + "0"))

    def _literal(self, text: str, position: int) -> int:
        word = _LITERALS[self._partial[0]]
        piece = text[position : position + len(word) - len(self._partial)]
        self._partial += piece
        if not word.startswith(self._partial):
            self._broken = True
        elif self._partial == word:
            self._partial = ""
            self._at = self._after_value()
        return position + len(piece)

    def _structural(self, char: str) -> None:
        self._started = True
        at = self._at
        if at in (_At.VALUE, _At.FIRST_ITEM) and not (at is _At.FIRST_ITEM and char == "]"):
            self._begin_value(char)
        elif at in (_At.KEY, _At.FIRST_KEY) and char == '"':
            self._at, self._in_key = _At.STRING, True
        elif at is _At.COLON and char == ":":
            self._at = _At.VALUE
        elif at is _At.AFTER and char == ",":
            self._at = _At.KEY if self._closers[-1] == "}" else _At.VALUE
        elif at in (_At.AFTER, _At.FIRST_KEY, _At.FIRST_ITEM) and char == self._closers[-1]:
            self._closers.pop()
            self._at = self._after_value()
        else:
            self._broken = True

    def _begin_value(self, char: str) -> None:
        if char == '"':
            self._at, self._in_key = _At.STRING, False
        elif char == "{":
            self._closers.append("}")
            self._at = _At.FIRST_KEY
        elif char == "[":
            self._closers.append("]")
            self._at = _At.FIRST_ITEM
        elif char in _LITERALS:
            self._at, self._partial = _At.LITERAL, char
        elif char == "-" or "0" <= char <= "9":
            self._at, self._partial = _At.NUMBER, char
        else:
            self._broken = True

    def _after_value(self) -> _At:
        return _At.AFTER if self._closers else _At.END


def _is_high_surrogate(digits: str) -> bool:
    return len(digits) == 4 and 0xD800 <= int(digits, 16) <= 0xDBFF
