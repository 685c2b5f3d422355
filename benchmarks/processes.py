"""Child processes of a run: started, waited for, measured, ended."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
START_S = 120


@dataclass(frozen=True, slots=True)
class Running:
    """A process that serves on a port of 127.0.0.1; `ready_s` is how long that took from its exec."""

    pid: int
    port: int
    ready_s: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def run(
    command: Sequence[str], *, port: int | None = None, environment: Mapping[str, str], folder: Path = ROOT
) -> Iterator[Running]:
    """A process until the end of the block. Without a `port` it prints its own as its first line.

    Raises RuntimeError with what it said where it does not come up.
    """
    with tempfile.TemporaryFile() as log:
        began_s = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE if port is None else log,
            stderr=log,
        )
        try:
            if port is None:
                assert process.stdout is not None
                line = process.stdout.readline()
                if not line.strip().isdigit():
                    raise RuntimeError(f"{command} did not start: {_tail(log)}")
                port = int(line)
            _wait_until_open(port, process, log)
            yield Running(process.pid, port, time.perf_counter() - began_s)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def plain_environment(**variables: str) -> dict[str, str]:
    """PATH and HOME, what is given, and nothing else: no proxy, no account, no setting of the caller's shell."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", **variables}


def _wait_until_open(port: int, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"{process.args!r} did not start: {_tail(log)}")


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")[-2000:]
