"""Numbers between bounds as grammar rules (GBNF), digit by digit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_MOST_DIGITS = 15
"""A double holds 15 digits exactly; no longer number is generated where a bound has to hold."""

_ANY_FRACTION = '("." [0-9]{1,6})?'
_ANY_DIGITS = "[0-9]{0,6}"
_NOT_ZERO = f"[0]{{0,5}} [1-9] {_ANY_DIGITS}"

LARGEST = Decimal(10) ** _MOST_DIGITS - 1


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit, itself allowed unless `strict`."""

    value: Decimal
    strict: bool = False


def number_rule(low: Bound | None, high: Bound | None) -> str | None:
    """Decimals from `low` to `high`; None where there is none."""
    return _mirrored(low, high, _positive_numbers)


def integer_rule(low: Bound | None, high: Bound | None) -> str | None:
    """Integers from `low` to `high`; None where there is none."""
    return _mirrored(low, high, _positive_integers)


def integer_range(low: Bound | None, high: Bound | None) -> tuple[int | None, int | None]:
    """The least and the greatest integer within the bounds."""
    least = greatest = None
    if low is not None:
        least = int(low.value.to_integral_value(ROUND_CEILING))
        least += low.strict and least == low.value
    if high is not None:
        greatest = int(high.value.to_integral_value(ROUND_FLOOR))
        greatest -= high.strict and greatest == high.value
    return least, greatest


def _mirrored(low: Bound | None, high: Bound | None, positive: Callable[[Bound, Bound], list[str]]) -> str | None:
    """Alternatives for zero and above, and for below zero with a sign in front."""
    alternatives: list[str] = []
    if high is None or high.value >= 0:
        nearest = low if low is not None and low.value >= 0 else Bound(Decimal(0))
        alternatives += positive(nearest, high or Bound(LARGEST))
    if low is None or low.value < 0:
        nearest = Bound(-high.value, high.strict) if high is not None and high.value < 0 else Bound(Decimal(0), True)
        farthest = Bound(LARGEST) if low is None else Bound(-low.value, low.strict)
        if negative := positive(nearest, farthest):
            alternatives.append(f'"-" ({" | ".join(negative)})')
    return " | ".join(alternatives) or None


def _positive_integers(low: Bound, high: Bound) -> list[str]:
    least, greatest = integer_range(low, high)
    return _between(least or 0, min(greatest or 0, int(LARGEST)))


def _positive_numbers(low: Bound, high: Bound) -> list[str]:
    high = min(high, Bound(LARGEST), key=lambda bound: bound.value)
    if low.strict and low.value >= 10**6:  # its neighbours' fractions may round to it
        low = Bound(low.value.to_integral_value(ROUND_FLOOR) + 1)
    if high.strict and high.value >= 10**6:
        high = Bound(high.value.to_integral_value(ROUND_CEILING) - 1)
    low_whole, low_digits = _split(low.value)
    high_whole, high_digits = _split(high.value)
    if low.value > high.value or (low.value == high.value and (low.strict or high.strict)):
        return []
    exact_low = not low_digits and not low.strict
    if low_whole == high_whole and not exact_low:
        return _prefixed(f'"{low_whole}" "."', _tails_between(low_digits, low.strict, high_digits, high.strict))
    alternatives = []
    if not exact_low:
        alternatives += _prefixed(f'"{low_whole}" "."', _tails_from(low_digits, low.strict))
    for whole in _between(low_whole + (not exact_low), high_whole - 1):
        alternatives.append(f"{whole} {_ANY_FRACTION}")
    if high_digits or not high.strict:
        fractions = " | ".join(_tails_to(high_digits, high.strict, least=1))
        alternatives.append(f'"{high_whole}" ("." ({fractions}))?')
    return alternatives


def _split(value: Decimal) -> tuple[int, str]:
    """The whole part and the digits behind the point, without closing zeros."""
    whole, _, digits = f"{value:f}".partition(".")
    return int(whole), digits.rstrip("0")


def _between(least: int, greatest: int) -> list[str]:
    """Whole numbers, one alternative for each count of digits."""
    alternatives = []
    for digits in range(len(str(least)), len(str(greatest)) + 1):
        low, high = max(least, 10 ** (digits - 1) if digits > 1 else 0), min(greatest, 10**digits - 1)
        if low <= high:
            alternatives.append(_same_length(str(low), str(high)))
    return alternatives


def _same_length(low: str, high: str) -> str:
    if low == high:
        return f'"{low}"'
    rest = len(low) - 1
    if not rest:
        return f"[{low}-{high}]"
    if low[0] == high[0]:
        return f'"{low[0]}" {_same_length(low[1:], high[1:])}'
    first, last = int(low[0]), int(high[0])
    alternatives = []
    if low[1:] != "0" * rest:
        alternatives.append(f'"{first}" {_same_length(low[1:], "9" * rest)}')
        first += 1
    if high[1:] != "9" * rest:
        alternatives.append(f'"{last}" {_same_length("0" * rest, high[1:])}')
        last -= 1
    if first <= last:
        alternatives.append(f"[{first}-{last}] [0-9]{{{rest}}}")
    return "(" + " | ".join(alternatives) + ")"


def _tails_between(low: str, low_strict: bool, high: str, high_strict: bool) -> list[str]:
    """Digits behind the point, from `low` to `high`; `low` is below `high` or equal and allowed."""
    size = max(len(low), len(high))
    low, high = low.ljust(size, "0"), high.ljust(size, "0")
    if low == high:
        return [f'"{low}"']
    same = next(i for i in range(size) if low[i] != high[i])
    shared = f'"{low[:same]}"'
    tails = _prefixed(f'"{low[: same + 1]}"', _tails_from(low[same + 1 :].rstrip("0"), low_strict))
    if int(high[same]) - int(low[same]) > 1:
        tails.append(f"{shared} [{int(low[same]) + 1}-{int(high[same]) - 1}] {_ANY_DIGITS}")
    return tails + _prefixed(f'"{high[: same + 1]}"', _tails_to(high[same + 1 :].rstrip("0"), high_strict, least=0))


def _tails_from(digits: str, strict: bool) -> list[str]:
    tails = [f'"{digits[:i]}" [{int(d) + 1}-9] {_ANY_DIGITS}' for i, d in enumerate(digits) if d != "9"]
    if not digits and not strict:
        return [_ANY_DIGITS]
    return [*tails, f'"{digits}" {_NOT_ZERO if strict else _ANY_DIGITS}']


def _tails_to(digits: str, strict: bool, *, least: int) -> list[str]:
    """Tails of at least `least` digits that are not above `digits`."""
    tails = [f'"{digits[:i]}" [0-{int(d) - 1}] {_ANY_DIGITS}' for i, d in enumerate(digits) if d != "0"]
    tails += [f'"{digits[:i]}"' for i in range(least, len(digits))]
    if not strict:
        tails.append(f'"{digits}" [0]{{0,3}}' if digits else f"[0]{{{least},3}}")
    return tails


def _prefixed(prefix: str, tails: list[str]) -> list[str]:
    return [f"{prefix} ({' | '.join(tails)})"] if tails else []
