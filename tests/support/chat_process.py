"""The chat function as it runs in Lambda: its own start script in a process, with all that it prints kept."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.ports import free_port

FOLDER = Path(__file__).parents[2] / "functions" / "chat"
_START_S = 30


class ChatProcess:
    """`functions/chat/run.sh`, up and listening on `port`."""

    def __init__(self, environment: Mapping[str, str], *, log: Path) -> None:
        self._log = log
        self.port = free_port()
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["sh", "run.sh"],
                cwd=FOLDER,
                env={**environment, "PATH": path, "AWS_LWA_PORT": str(self.port), "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait_until_it_listens()

    def stop(self) -> str:
        """Ends the process; all that it printed."""
        self._process.terminate()
        self._process.wait(_START_S)
        return self._log.read_text("utf-8")

    def _wait_until_it_listens(self) -> None:
        until = time.monotonic() + _START_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except ConnectionRefusedError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"the chat function did not start: {self.stop()}")
