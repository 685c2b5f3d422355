"""Where botocore's blocking calls run, so that the event loop never waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from gateway.adapters.aws.clients import POOL

Result = TypeVar("Result")

_executor = ThreadPoolExecutor(max_workers=POOL, thread_name_prefix="aws")


async def call(function: Callable[..., Result], /, **arguments: Any) -> Result:
    """`function(**arguments)` in a thread.

    Where the caller is cancelled, the call is still waited for: what undoes it must not overtake it.
    """
    calling = asyncio.get_running_loop().run_in_executor(_executor, lambda: function(**arguments))
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.wait({calling})
        raise
