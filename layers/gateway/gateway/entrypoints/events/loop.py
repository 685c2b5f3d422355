"""The event loop of a process whose handlers Lambda calls without one.

One for the process's life, in a thread of its own: connection pools belong to the loop that opened them, and a loop
for each call would find them closed at the second.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")
logger = logging.getLogger(__name__)

_lock = threading.Lock()
_running: list[asyncio.AbstractEventLoop] = []


class EventFailed(Exception):
    """An event's step failed, and the log says where. The message is the failure's kind alone: Lambda logs it too."""


def run(step: Coroutine[Any, Any, Result]) -> Result:
    """What `step` returns; several threads may each wait for a step of their own.

    Raises EventFailed for whatever `step` raises, once it is logged: of a message in a batch nobody else tells.
    """
    try:
        return asyncio.run_coroutine_threadsafe(step, _loop()).result()
    except Exception as error:  # the outermost frame of an event
        logger.exception("event failed")
        raise EventFailed(type(error).__name__) from None


def _loop() -> asyncio.AbstractEventLoop:
    with _lock:
        if not _running:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="event-loop", daemon=True).start()
            _running.append(loop)
        return _running[0]
