"""A pattern held to a length: fewer repeats at most, more at least, and the language only ever smaller."""

from __future__ import annotations

from gateway.domain.json_pattern import LONGEST_REPEAT, Choice, Node, Repeat, Sequence, width

_ROUNDS = 4
"""Repeats of something without a bound of its own: this many, and a share of the length for each."""


def fit(node: Node, least: int, most: int | None) -> Node | None:
    """What the node stands for with `least` to `most` characters, or some of it; None where none is found."""
    limit = LONGEST_REPEAT if most is None else most
    fitted = _fit(node, least, limit)
    if fitted is None:
        return None
    shortest, longest = width(fitted)
    return fitted if shortest >= least and (most is None or (longest is not None and longest <= most)) else None


def _fit(node: Node, least: int, most: int) -> Node | None:
    shortest, longest = width(node)
    if shortest >= least and longest is not None and longest <= most:
        return node
    if shortest > most or (longest is not None and longest < least):
        return None
    match node:
        case Choice(branches):
            fitted = [fit for branch in branches if (fit := _fit(branch, least, most)) is not None]
            return Choice(tuple(fitted)) if fitted else None
        case Sequence(items):
            return _fit_sequence(items, least, most)
        case Repeat():
            return _fit_repeat(node, least, most)
        case _:
            return None


def _fit_sequence(items: tuple[Node, ...], least: int, most: int) -> Node | None:
    """The room above the shortest is shared out, first to those that need little."""
    widths = [width(item) for item in items]
    room = most - sum(shortest for shortest, _ in widths)
    needs = [LONGEST_REPEAT if longest is None else longest - shortest for shortest, longest in widths]
    shares = [0] * len(items)
    flexible = sorted((i for i in range(len(items)) if needs[i]), key=lambda i: needs[i])
    for place, index in enumerate(flexible):
        shares[index] = min(needs[index], room // (len(flexible) - place))
        room -= shares[index]
    missing = least - sum(shortest for shortest, _ in widths)
    fitted: list[Node] = []
    for (shortest, _), share, item in zip(widths, shares, items, strict=True):
        more = max(0, min(missing, share))
        part = _fit(item, shortest + more, shortest + share)
        if part is None:
            return None
        missing -= more
        fitted.append(part)
    return Sequence(tuple(fitted))


def _fit_repeat(node: Repeat, least: int, most: int) -> Node | None:
    shortest, longest = width(node.item)
    item, widest = node.item, longest
    if not widest or widest * max(node.least, 1) > most:
        rounds = max(node.least, min(_ROUNDS, node.most or _ROUNDS))
        inner = _fit(node.item, shortest, most // rounds) or _fit(node.item, shortest, most // max(node.least, 1))
        if inner is None:
            return Repeat(node.item, 0, 0) if not node.least and not least else None
        item = inner
        shortest, widest = width(item)
    if not widest:
        return None
    upper = min(most // widest, LONGEST_REPEAT if node.most is None else node.most)
    lower = max(node.least, -(-least // shortest) if shortest else node.least)
    if lower > upper:
        # Longer items instead of more of them.
        stretched = _fit(item, -(-least // max(upper, 1)), widest)
        return Repeat(stretched, max(upper, 1), upper) if stretched and upper >= max(node.least, 1) else None
    return Repeat(item, lower, upper)
