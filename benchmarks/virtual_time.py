"""An event loop whose time passes only when everything waits: hours of waiting cost nothing, and repeat exactly."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Selector(selectors.DefaultSelector):
    """Sleeps by moving the clock."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing is left that could happen")
        self.now_s += max(0.0, timeout)
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, selector: _Selector) -> None:
        super().__init__(selector)
        self._virtual = selector

    def time(self) -> float:
        """The virtual time."""
        return self._virtual.now_s


class VirtualClock:
    """Keeps the promises of `ports.Clock` on such a loop."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def now_s(self) -> float:
        """See `ports.Clock.now_s`."""
        return asyncio.get_running_loop().time()

    def elapsed_s(self) -> float:
        """See `ports.Clock.elapsed_s`."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock.sleep`."""
        await asyncio.sleep(seconds)

    def jitter(self) -> float:
        """See `ports.Clock.jitter`."""
        return self._random.random()


def run_virtually(main: Coroutine[Any, Any, Result]) -> Result:
    """What `main` returns, with virtual time from 0 on."""
    with asyncio.Runner(loop_factory=lambda: _Loop(_Selector())) as runner:
        return runner.run(main)
