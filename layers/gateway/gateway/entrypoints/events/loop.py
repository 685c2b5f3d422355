"""The event loop of a process whose handlers Lambda calls without one.

One for the process's life, in a thread of its own: connection pools belong to the loop that opened them, and a loop
for each call would find them closed at the second.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

_lock = threading.Lock()
_running: list[asyncio.AbstractEventLoop] = []


def run(step: Coroutine[Any, Any, Result]) -> Result:
    """What `step` returns or raises; several threads may each wait for a step of their own."""
    return asyncio.run_coroutine_threadsafe(step, _loop()).result()


def _loop() -> asyncio.AbstractEventLoop:
    with _lock:
        if not _running:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="event-loop", daemon=True).start()
            _running.append(loop)
        return _running[0]
