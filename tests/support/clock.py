"""A clock that passes when somebody sleeps, and when a test says so."""

from __future__ import annotations

import asyncio
from calendar import timegm

NOON_S = timegm((2026, 11, 23, 12, 0, 0))
"""Monday 2026-11-23, 12:00 UTC."""


class ManualClock:
    """Keeps the promises of `ports.Clock` without waiting: sleepers meet at the latest of their times."""

    def __init__(self, now_s: float = NOON_S) -> None:
        self._now_s = float(now_s)
        self.slept: list[float] = []

    def now_s(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        until_s = self._now_s + seconds
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self._now_s = max(self._now_s, until_s)

    def jitter(self) -> float:
        return 0.5

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self._now_s += seconds
