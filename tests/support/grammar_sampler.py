"""Random sentences of a GBNF grammar: what an engine that holds the model to it could make the model write."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{\d*,?\d*\}|[()|*+?]|[A-Za-z][A-Za-z0-9-]*)')
_CODE = re.compile(r"\\x([0-9A-F]{2})|\\u([0-9A-F]{4})|\\U([0-9A-F]{8})|\\(.)|(.)", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}
_MANY = 3
_MOST_REPEATED = 20_000
"""A hundred items of 32,767 characters each tell no more than the first of them."""
_DEEPEST = 90  # of rules: some ten frames of ours each, within the interpreter's thousand

Maker = Callable[[int], str]


class GrammarSampler:
    """Draws sentences; the deeper it gets, the more it prefers what ends soon."""

    def __init__(self, grammar: str, random: Random, *, patience: int = 12) -> None:
        self._random = random
        self._patience = patience
        self._repeated_so_far = 0
        self._rules: dict[str, Maker] = {}
        bodies = dict(line.split(" ::= ", 1) for line in grammar.split("\n"))
        for name, body in bodies.items():
            tokens = [match.group(1) for match in _TOKEN.finditer(body)]
            assert "".join(tokens) == _spaceless(body), body
            self._rules[name] = self._choice(tokens)
            assert not tokens, body

    def sentence(self) -> str:
        """One random sentence. Raises RecursionError for a grammar that does not let it end."""
        self._repeated_so_far = 0
        return self._rules["root"](0)

    def _choice(self, tokens: list[str]) -> Maker:
        branches = [self._sequence(tokens)]
        while tokens and tokens[0] == "|":
            tokens.pop(0)
            branches.append(self._sequence(tokens))

        def make(depth: int) -> str:
            for branch in self._random.sample(branches, len(branches)):
                try:
                    return branch(depth)
                except RecursionError:
                    continue
            raise RecursionError

        return make

    def _sequence(self, tokens: list[str]) -> Maker:
        items: list[Maker] = []
        while tokens and tokens[0] not in ("|", ")"):
            items.append(self._repeated(self._atom(tokens.pop(0), tokens), tokens))
        return lambda depth: "".join([item(depth) for item in items])

    def _atom(self, token: str, tokens: list[str]) -> Maker:
        if token == "(":
            inner = self._choice(tokens)
            assert tokens.pop(0) == ")"
            return inner
        if token[0] == '"':
            text = "".join(_decoded(token[1:-1]))
            return lambda depth: text
        if token[0] == "[":
            return self._characters(token[1:-1])

        def named(depth: int) -> str:
            if depth > _DEEPEST:
                raise RecursionError
            return self._rules[token](depth + 1)

        return named

    def _repeated(self, item: Maker, tokens: list[str]) -> Maker:
        if not tokens or tokens[0][0] not in "*+?{":
            return item
        sign = tokens.pop(0)
        least, most = {"*": (0, _MANY), "+": (1, _MANY), "?": (0, 1)}.get(sign, (0, 0))
        if sign[0] == "{":
            low, comma, high = sign[1:-1].partition(",")
            least, most = int(low or 0), int(high) if high else int(low or 0) + (_MANY if comma else 0)

        def make(depth: int) -> str:
            ends = (least, most, self._random.randint(least, most), min(most, least + _MANY))
            ending = depth > self._patience or self._repeated_so_far > _MOST_REPEATED
            count = least if ending else self._random.choice(ends)
            self._repeated_so_far += count
            try:
                return "".join([item(depth) for _ in range(count)])
            except RecursionError:
                return "".join([item(depth) for _ in range(least)])

        return make

    def _characters(self, body: str) -> Maker:
        negated = body.startswith("^")
        codes = [match.group() for match in _CODE.finditer(body[negated:])]
        ranges: list[tuple[int, int]] = []
        while codes:
            low = ord(_decoded(codes.pop(0))[0])
            if len(codes) >= 2 and codes[0] == "-":
                codes.pop(0)
                ranges.append((low, ord(_decoded(codes.pop(0))[0])))
            else:
                ranges.append((low, low))
        if negated:
            allowed = [c for c in map(chr, (*range(0x20, 0x250), 0x2028, 0x1F600)) if not _within(c, ranges)]
            return lambda depth: self._random.choice(allowed)

        def make(depth: int) -> str:
            low, high = self._random.choice(ranges)
            return chr(self._random.choice((low, high, self._random.randint(low, high))))

        return make


def _within(char: str, ranges: list[tuple[int, int]]) -> bool:
    return any(low <= ord(char) <= high for low, high in ranges)


def _decoded(text: str) -> list[str]:
    decoded = []
    for match in _CODE.finditer(text):
        x, u, big_u, escaped, plain = match.groups()
        code = x or u or big_u
        decoded.append(chr(int(code, 16)) if code else _CONTROLS.get(escaped, escaped) if escaped else plain)
    return decoded


def _spaceless(body: str) -> str:
    """The body without the blanks between its tokens."""
    return "".join(match.group(1) for match in _TOKEN.finditer(body)) if _TOKEN.sub("", body).strip() == "" else "?"
