"""Functions as processes: forked by a nursery, ended by signals."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from infra.local.functions import Function
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
_PATIENCE_S = 90


class DidNotEnd(Exception):
    """A process outlived the patience of a test."""


class Nursery:
    """Forks functions (`nursery.py`). Several threads may ask."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "functions.log"
        self.log.touch()
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def serve(self, folder: Path, environment: Mapping[str, str]) -> Process:
        """The function in `folder` under its own start script, listening."""
        port = free_port()
        process = self._start({"serve": str(folder), "port": port}, environment, ahead_s=0)
        process.port = port
        process.wait_until_it_listens()
        return process

    def invoke(
        self, function: Function, event: Mapping[str, Any], environment: Mapping[str, str], *, ahead_s: float = 0
    ) -> Process:
        """One call of a handler; what it returns is the process's `answer`."""
        told = {**function.as_json(), "environment": {}}
        return self._start({"invoke": told, "event": event}, environment, ahead_s=ahead_s)

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """The nursery's answer to one order."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
            return answer

    def _start(self, order: dict[str, Any], environment: Mapping[str, str], *, ahead_s: float) -> Process:
        common = {"environment": dict(environment), "ahead_s": ahead_s, "log": str(self.log)}
        return Process(self, self.ask({**order, **common})["pid"])


@dataclass
class Process:
    """A forked function."""

    nursery: Nursery
    pid: int
    port: int = 0
    ended: bool = False
    answer: Any = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def kill(self) -> None:
        """Ends it in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Sends it a signal that it lives through."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """Lets it finish what it has begun, and returns when it has."""
        self._end(signal.SIGTERM)

    def wait(self) -> Any:
        """Returns when it has ended by itself, with what its handler answered, None where it was killed."""
        if not self.ended and not self._has_ended_within(_PATIENCE_S):
            raise DidNotEnd(self.pid)
        with self._lock:
            if not self.ended:
                self.answer = self.nursery.ask({"wait": self.pid})["answer"]
                self.ended = True
        return self.answer

    def wait_until_it_listens(self) -> None:
        """Returns when its port is open."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except ConnectionRefusedError:
                time.sleep(0.02)
            else:
                return
        raise DidNotEnd(f"{self.pid} does not listen:\n{self.nursery.log.read_text()[-2000:]}")

    def _end(self, number: int) -> None:
        with self._lock:
            if not self.ended:
                os.kill(self.pid, number)
        self.wait()

    def _has_ended_within(self, seconds: float) -> bool:
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:  # another thread has seen it
            return True
        try:
            return bool(select.select([descriptor], [], [], seconds)[0])
        finally:
            os.close(descriptor)
