"""Entry files and example events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.local.entry import load_entries
from tests.support.stack import Stack

ROOT = Path(__file__).parents[2]
Handler = Callable[[dict[str, Any], Any], Any]


class Functions:
    """Loads and calls handlers as Lambda does: a thread and its event loop for a function's life."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._threads: list[tuple[ThreadPoolExecutor, asyncio.AbstractEventLoop]] = []

    def handler(self, logical_id: str, **environment: str) -> Handler:
        """The function's handler, with these variables over its own."""
        function = self._stack.functions[logical_id]
        function = replace(function, environment={**function.environment, **environment})
        loop = asyncio.new_event_loop()
        thread = ThreadPoolExecutor(1, initializer=asyncio.set_event_loop, initargs=(loop,))
        self._threads.append((thread, loop))
        (module,) = thread.submit(load_entries, [function], "handler.py").result()

        def call(event: dict[str, Any], context: Any) -> Any:
            return thread.submit(module.handler, event, context).result()

        return call

    def end(self) -> None:
        """Ends the threads."""
        for thread, loop in self._threads:
            thread.shutdown()
            loop.close()


def read_event(name: str) -> dict[str, Any]:
    """`events/<name>.json`."""
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text("utf-8"))
    return event
