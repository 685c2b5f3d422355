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
        self._set_by_s = 0.0
        self.slept: list[float] = []

    def now_s(self) -> float:
        return self._now_s

    def elapsed_s(self) -> float:
        return self._now_s - self._set_by_s

    async def sleep(self, seconds: float) -> None:
        until_s = self.elapsed_s() + seconds
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self._now_s = max(self._now_s, until_s + self._set_by_s)

    def jitter(self) -> float:
        return 0.5

    def set_ahead(self, seconds: float) -> None:
        """Sets the clock forward, or back, without any time passing."""
        self._now_s += seconds
        self._set_by_s += seconds

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self._now_s += seconds
