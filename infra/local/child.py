"""A child, seen from the supervisor."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from infra.local.settings import ROOT

Reports = SimpleQueue[tuple["Child | None", dict[str, Any] | None]]
"""What children report, in order of arrival; None for a child's end, no child for a signal to stop."""


class Child:
    """A process of its own that runs `infra.local.<name>` and writes its log into the state directory."""

    def __init__(self, name: str, *, state: Path, environment: Mapping[str, str], reports: Reports) -> None:
        self.name = name
        self._log = state / f"{name}.log"
        with self._log.open("wb") as log:
            # In a session of its own a terminal's Ctrl-C reaches only the supervisor, which stops it in order.
            self._process = subprocess.Popen(  # noqa: S603 - our own module under this interpreter
                [sys.executable, "-m", f"infra.local.{name}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=environment,
                start_new_session=True,
            )
        self._listener = Thread(target=self._listen, args=(reports,), name=f"reports-{name}", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def _listen(self, reports: Reports) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                reports.put((self, json.loads(line)))
        reports.put((self, None))

    def order(self, **fields: Any) -> None:
        """Send one order; a child that ended gets none."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(fields).encode() + b"\n")
            self._process.stdin.flush()

    def ask_to_end(self) -> None:
        """Close its lifeline."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def end(self, within_s: float) -> None:
        """Wait for its end, and kill it after `within_s` seconds."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()

    def last_words(self) -> str:
        """The last line of its log that says something."""
        lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "it left no message")
