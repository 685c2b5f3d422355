"""Regular expressions as grammar rules over the characters of a JSON string.

Patterns are read as both ECMA-262 and Python read them; where the two differ (Unicode in `\\w`), what is generated
satisfies both. A pattern is searched for, not matched: without `^` and `$` anything may stand around it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

Ranges = tuple[tuple[int, int], ...]

LONGEST_REPEAT = 20_000
"""Repeats are cut to this many characters: more than any answer has, and a bound on the grammar's size."""

KEPT_LENGTH = 512
"""A pattern up to this long is kept once it is read: schemas have the same few, and their formats', many times over,
and each is read for what it allows and again for its grammar."""

_BLOCK = 50

_DIGITS: Ranges = ((0x30, 0x39),)
_WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: Ranges = ((0x20, 0x20),)
_ASCII: Ranges = ((0x20, 0x7E),)
# What `.` matches in both readings, without the controls and line separators.
_ANY: Ranges = ((0x20, 0x7E), (0xA0, 0x2027), (0x202A, 0xD7FF), (0xE000, 0x10FFFF))
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"n": 0x0A, "r": 0x0D, "t": 0x09}
# Characters that a JSON string holds only as an escape, and that escape as a grammar literal.
_ESCAPED = {0x22: r'"\\\""', 0x5C: r'"\\\\"', 0x0A: r'"\\n"', 0x0D: r'"\\r"', 0x09: r'"\\t"'}
_PUNCTUATION = frozenset("^$\\.*+?()[]{}|/-\"'#&~`!@%=<>:;, _")


class UnsupportedPattern(Exception):
    """The pattern is malformed or needs what a grammar can't say; the message names it."""


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of these ranges."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Anchor:
    """`^` or `$`."""

    sign: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these."""

    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The item `least` to `most` times; `most` is None for no bound."""

    item: Node
    least: int
    most: int | None


Node = Characters | Anchor | Sequence | Choice | Repeat


def parse_pattern(pattern: str) -> Node:
    """The whole string that `pattern` allows, anchors resolved. Raises UnsupportedPattern."""
    return _kept(pattern) if len(pattern) <= KEPT_LENGTH else _parsed(pattern)


def _parsed(pattern: str) -> Node:
    parser = _Parser(pattern)
    node = parser.choice()
    if not parser.done:
        raise UnsupportedPattern("unbalanced )")
    return _anchored(node)


_kept = lru_cache(maxsize=128)(_parsed)


def width(node: Node) -> tuple[int, int | None]:
    """The fewest and the most characters (None: unbounded) that the node stands for."""
    match node:
        case Characters():
            return 1, 1
        case Sequence(items):
            widths = [width(item) for item in items]
            most = [most for _, most in widths if most is not None]
            return sum(least for least, _ in widths), sum(most) if len(most) == len(widths) else None
        case Choice(branches):
            widths = [width(branch) for branch in branches]
            most = [most for _, most in widths if most is not None]
            return min(least for least, _ in widths), max(most) if len(most) == len(widths) else None
        case Repeat(item, least, most_times):
            least_width, most_width = width(item)
            bounded = None if most_times is None or most_width is None else most_width * most_times
            return least_width * least, bounded
        case Anchor():
            return 0, 0


def literal_prefix(pattern: str) -> str:
    """What every match begins with, as far as it is plain to see; empty for a pattern that may begin anywhere."""
    if not pattern.startswith("^") or "|" in pattern:
        return ""
    prefix = ""
    for char in pattern[1:]:
        if not (char.isalnum() or char in "_-/ "):
            return prefix[:-1] if char in "*?{" else prefix
        prefix += char
    return prefix


def rule_of(node: Node) -> str:
    """The node in GBNF, for use between the quotes of a JSON string."""
    match node:
        case Characters(ranges):
            return characters_rule(ranges)
        case Sequence(items):
            return " ".join(rule_of(item) for item in items) or '""'
        case Choice(branches):
            return "(" + " | ".join(rule_of(branch) for branch in branches) + ")"
        case Repeat(item, least, most):
            return repeat_rule(f"({rule_of(item)})", least, most)
        case Anchor():
            raise UnsupportedPattern("^ or $ inside the pattern")


def characters_rule(ranges: Ranges) -> str:
    """One character of these ranges, written as JSON writes it in a string."""
    escaped = _escapes(ranges)
    if plain := _plain(ranges):
        spans = "".join(_code(low) if low == high else f"{_code(low)}-{_code(high)}" for low, high in plain)
        escaped.insert(0, f"[{spans}]")
    return escaped[0] if len(escaped) == 1 else "(" + " | ".join(escaped) + ")"


def repeat_rule(item: str, least: int, most: int | None) -> str:
    """`item` `least` to `most` times.

    llama.cpp writes `{m,n}` out as n rules and refuses more than 2,000: long ones are made of blocks.
    """
    if most is None:
        return f"{_times(item, least)} {item}*".strip() if least else f"{item}*"
    optional = min(most, max(LONGEST_REPEAT, least)) - least
    blocks, rest = divmod(optional, _BLOCK)
    tail = f"{item}{{0,{rest if blocks == 0 else _BLOCK - 1}}}" if optional else ""
    if blocks and rest:
        # Whole blocks, then fewer than a block; the last may be cut short of `rest` only when all blocks are full.
        full = f"({item}{{{_BLOCK}}}){{0,{blocks - 1}}} {item}{{0,{_BLOCK - 1}}}"
        tail = f"({full} | ({item}{{{_BLOCK}}}){{{blocks}}} {item}{{0,{rest}}})"
    elif blocks:
        tail = f"(({item}{{{_BLOCK}}}){{0,{blocks - 1}}} {item}{{0,{_BLOCK}}})"
    return f"{_times(item, least)} {tail}".strip() or '""'


def _times(item: str, count: int) -> str:
    blocks, rest = divmod(count, _BLOCK)
    parts = [f"({item}{{{_BLOCK}}}){{{blocks}}}"] if blocks else []
    parts += [f"{item}{{{rest}}}" if rest > 1 else item] if rest else []
    return " ".join(parts)


def _code(code: int) -> str:
    if chr(code).isascii() and chr(code).isalnum():
        return chr(code)
    return f"\\x{code:02X}" if code <= 0xFF else f"\\U{code:08X}"


def _without(ranges: Iterable[tuple[int, int]], holes: Iterable[tuple[int, int]]) -> Ranges:
    left = list(ranges)
    for low, high in holes:
        left = [
            part
            for start, end in left
            for part in ((start, min(end, low - 1)), (max(start, high + 1), end))
            if part[0] <= part[1]
        ]
    return tuple(sorted(set(left)))


def _anchored(node: Node) -> Node:
    """The node with `.*` where nothing holds it to the string's ends."""
    if isinstance(node, Choice):
        return Choice(tuple(_anchored(branch) for branch in node.branches))
    items = node.items if isinstance(node, Sequence) else (node,)
    if len(items) == 1 and isinstance(items[0], Choice | Sequence):
        return _anchored(items[0])
    anything = Repeat(Characters(_ANY), 0, None)
    start = items[:1] == (Anchor("^"),)
    end = items[-1:] == (Anchor("$"),)
    inner = items[start : len(items) - end]
    if any(_has_anchor(item) for item in inner):
        raise UnsupportedPattern("^ or $ inside the pattern")
    return Sequence((*(() if start else (anything,)), *inner, *(() if end else (anything,))))


def _has_anchor(node: Node) -> bool:
    match node:
        case Anchor():
            return True
        case Sequence(nodes) | Choice(nodes):
            return any(_has_anchor(child) for child in nodes)
        case Repeat(item, _, _):
            return _has_anchor(item)
        case _:
            return False


def _characters(ranges: Ranges) -> Characters:
    """The characters of these ranges that a string may hold as they are, or by a short escape."""
    if not (_plain(ranges) or _escapes(ranges)):
        raise UnsupportedPattern("a set of no printable character")
    return Characters(ranges)


def _plain(ranges: Ranges) -> Ranges:
    return _without(ranges, [(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x7F), (0xD800, 0xDFFF)])


def _escapes(ranges: Ranges) -> list[str]:
    return [rule for code, rule in _ESCAPED.items() if any(low <= code <= high for low, high in ranges)]


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._pattern)

    def choice(self) -> Node:
        branches = [self._sequence()]
        while self._skip("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def _sequence(self) -> Node:
        items: list[Node] = []
        while not self.done and self._peek() not in "|)":
            items.append(self._repeated(self._atom()))
        return Sequence(tuple(items))

    def _atom(self) -> Node:
        char = self._next()
        match char:
            case "^" | "$":
                return Anchor(char)
            case ".":
                return Characters(_ANY)
            case "[":
                return _characters(self._set())
            case "(":
                return self._group()
            case "\\":
                return _characters(self._escape()[0])
            case "*" | "+" | "?":
                raise UnsupportedPattern(f"nothing to repeat before {char}")
            case _:
                return _characters(((ord(char), ord(char)),))

    def _group(self) -> Node:
        if self._skip("?") and not self._skip(":"):
            raise UnsupportedPattern("(? groups other than (?:")
        node = self.choice()
        if not self._skip(")"):
            raise UnsupportedPattern("unbalanced (")
        return node

    def _repeated(self, item: Node) -> Node:
        bounds = self._bounds()
        if bounds is None:
            return item
        if isinstance(item, Anchor):
            raise UnsupportedPattern("a repeated anchor")
        self._skip("?")  # lazy or greedy, the language is the same
        least, most = bounds
        if least > LONGEST_REPEAT or (most is not None and most < least):
            raise UnsupportedPattern("a repeat out of bounds")
        if self._bounds() is not None:
            raise UnsupportedPattern("a repeat of a repeat")
        return Repeat(item, least, most)

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._skip(sign):
                return bounds
        if self.done or self._peek() != "{":
            return None
        end = self._pattern.find("}", self._at)
        least, comma, most = self._pattern[self._at + 1 : max(end, self._at)].partition(",")
        if not (least.isdecimal() and (most.isdecimal() or not most) and len(least + most) < 12):
            raise UnsupportedPattern("a { that is no repeat")
        self._at = end + 1
        return int(least), (int(most) if most else None) if comma else int(least)

    def _set(self) -> Ranges:
        negated = self._skip("^")
        ranges: list[tuple[int, int]] = []
        universe = _ANY
        while not self._skip("]"):
            low, is_class = self._set_item()
            if is_class:
                universe = _ASCII  # `[^\w]` holds no letter of any script, in Python's reading
                ranges += low
            elif not self.done and self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high, high_is_class = self._set_item()
                if high_is_class or high[0][0] < low[0][0]:
                    raise UnsupportedPattern("a range out of order")
                ranges.append((low[0][0], high[0][0]))
            else:
                ranges += low
        return _without(universe, [*ranges, (0x22, 0x22), (0x5C, 0x5C)]) if negated else tuple(ranges)

    def _set_item(self) -> tuple[Ranges, bool]:
        char = self._next()
        if char == "\\":
            return self._escape(in_set=True)
        return ((ord(char), ord(char)),), False

    def _escape(self, *, in_set: bool = False) -> tuple[Ranges, bool]:
        char = self._next()
        if char in _CLASSES:
            return _CLASSES[char], True
        if char.lower() in _CLASSES and not in_set:
            return _without(_ASCII, _CLASSES[char.lower()]), True
        if char in _CONTROLS:
            return ((_CONTROLS[char], _CONTROLS[char]),), False
        if char in _PUNCTUATION:
            return ((ord(char), ord(char)),), False
        if char in "xu":
            digits = self._pattern[self._at : self._at + (2 if char == "x" else 4)]
            if len(digits) == (2 if char == "x" else 4) and all(d in "0123456789abcdefABCDEF" for d in digits):
                self._at += len(digits)
                return ((int(digits, 16), int(digits, 16)),), False
        raise UnsupportedPattern(f"\\{char}")

    def _peek(self) -> str:
        return self._pattern[self._at]

    def _next(self) -> str:
        if self.done:
            raise UnsupportedPattern("an unfinished pattern")
        self._at += 1
        return self._pattern[self._at - 1]

    def _skip(self, sign: str) -> bool:
        if self.done or self._peek() != sign:
            return False
        self._at += 1
        return True
