"""Where blocking calls run, so that the event loop never waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")

THREADS = 64

_executor = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="aws")


async def call(function: Callable[..., Result], /, **arguments: Any) -> Result:
    """`function(**arguments)` in a thread.

    Where the caller is cancelled it is still waited for: what undoes it must not overtake it.
    """
    running = asyncio.get_running_loop().run_in_executor(_executor, lambda: function(**arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise
