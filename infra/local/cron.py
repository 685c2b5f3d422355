"""Cron expressions as EventBridge has them: minute, hour, day of month, month, day of week, year."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199))
_PART = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")


class CronError(ValueError):
    """No cron expression, or one with `L`, `W` or `#`, which are known on AWS only."""


@dataclass(frozen=True, slots=True)
class Cron:
    """The values that each field takes; weekdays count from Sunday, which is 1."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]

    def matches(self, minute: datetime) -> bool:
        """Whether this minute, in the schedule's own zone, is one of the expression's."""
        return (
            minute.minute in self.minutes
            and minute.hour in self.hours
            and minute.day in self.days
            and minute.month in self.months
            and minute.isoweekday() % 7 + 1 in self.weekdays
            and minute.year in self.years
        )


def read_cron(expression: str) -> Cron:
    """The expression `cron(…)` as values. Raises CronError."""
    match = re.fullmatch(r"cron\((.+)\)", expression)
    fields = match[1].split() if match else []
    if len(fields) != len(_LIMITS):
        raise CronError(f"{expression!r} is no cron expression of six fields")
    return Cron(*(_values(text, index) for index, text in enumerate(fields)))


def _values(text: str, index: int) -> frozenset[int]:
    low, high = _LIMITS[index]
    if text == "?":
        return frozenset(range(low, high + 1))
    values: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise CronError(f"{text!r} in a cron expression is not known here")
        first = low if match["all"] else _number(match["first"], index)
        open_end = match["all"] or (match["step"] and not match["last"])
        last = high if open_end else _number(match["last"] or match["first"], index)
        values.update(range(first, last + 1, int(match["step"] or 1)))
    return frozenset(values)


def _number(text: str, index: int) -> int:
    names = {3: _MONTHS, 4: _DAYS}.get(index, ())
    if text.upper() in names:
        return names.index(text.upper()) + 1
    low, high = _LIMITS[index]
    if not text.isdigit() or not low <= int(text) <= high:
        raise CronError(f"{text!r} in a cron expression is not known here")
    return int(text)
