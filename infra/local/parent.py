"""A child's two pipes to the supervisor: orders come on stdin, reports leave on what was stdout.

The end of stdin is the supervisor's end, however it died, and so the child's.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable
from threading import Lock, Thread
from typing import Any, NoReturn

from infra.local.failure import CannotStart


class Parent:
    """The supervisor, seen from a child. Make it first of all: it moves stdout away from libraries that print."""

    def __init__(self) -> None:
        self._reports = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._one_at_a_time = Lock()
        os.dup2(2, 1)

    def receive(self) -> dict[str, Any]:
        """The next order. Ends the process where none can come any more."""
        line = sys.stdin.buffer.readline()
        if not line:
            os._exit(0)
        order: dict[str, Any] = json.loads(line)
        return order

    def report(self, event: str, **fields: Any) -> None:
        """Tell the supervisor."""
        with self._one_at_a_time:
            print(json.dumps({"event": event, **fields}), file=self._reports, flush=True)

    def at_its_end(self, stop: Callable[[], object] = lambda: os._exit(0)) -> None:
        """Call `stop`, in a thread, when the supervisor closes the pipe or dies. No order can be received after."""

        def wait() -> None:
            try:
                sys.stdin.buffer.read()
                stop()
            except BaseException:  # noqa: BLE001 - whatever went wrong, a child without its supervisor may not stay
                os._exit(1)

        Thread(target=wait, name="parent", daemon=True).start()

    def die_with_it(self) -> None:
        """Let the kernel end this process when stdin ends, also while native code holds the interpreter's lock.

        Loading a model does, for as long as it takes. Only Linux signals the end of a pipe; elsewhere the thread
        of `at_its_end` sees it after the loading.
        """
        if sys.platform == "linux":
            signal.signal(signal.SIGIO, signal.SIG_DFL)
            fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)

    def run(self, body: Callable[[Parent], None]) -> NoReturn:
        """Run a child's body; a reason not to start is reported and ends the process."""
        try:
            body(self)
        except CannotStart as reason:
            self.report("failed", reason=str(reason))
            os._exit(1)
        os._exit(0)
