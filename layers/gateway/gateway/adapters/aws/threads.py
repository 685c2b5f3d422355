"""Where blocking calls run, so that the event loop never waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")

THREADS = 64

_executor = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="aws")


async def call(function: Callable[..., Result], /, **arguments: Any) -> Result:
    """`function(**arguments)` in a thread, seen through to its end."""
    return await see_through(asyncio.get_running_loop().run_in_executor(_executor, lambda: function(**arguments)))


async def see_through(step: Awaitable[Result]) -> Result:
    """What `step` returns.

    Where the caller is cancelled it is still waited for: what undoes it must not overtake it.
    """
    running = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise
