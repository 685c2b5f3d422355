"""The API as `make run` serves it, one process on one port, before a stack of the tests' own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from infra.local.child import Child, Reports
from infra.local.credentials import local_environment
from tests.support.stack import Stack

_START_S = 60
_END_S = 10


class GatewayProcess:
    """All functions behind API Gateway's routing. What it logs is in `log`."""

    def __init__(self, stack: Stack, state: Path) -> None:
        self.log = state / "gateway.log"
        self._reports: Reports = SimpleQueue()
        self._child = Child("gateway", state=state, environment=local_environment(os.environ), reports=self._reports)
        self._child.order(port=0)
        self.base_url: str = self._report("bound")["base_url"]
        self.port: int = urlsplit(self.base_url).port or 0
        self._child.order(functions=list(stack.described), endpoints=dict(stack.endpoints))
        self._report("ready")

    def forget_peak(self) -> None:
        """What `VmHWM` tells begins anew (proc(5), `clear_refs`)."""
        Path(f"/proc/{self._child.pid}/clear_refs").write_text("5", "ascii")

    def memory_mb(self, line: str = "VmRSS") -> float:
        """What the process holds in memory now, or with `VmHWM` what it held at most, as Linux counts it."""
        status = Path(f"/proc/{self._child.pid}/status").read_text("ascii")
        found = re.search(rf"^{line}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1000

    def stop(self) -> None:
        """Ends the process."""
        self._child.ask_to_end()
        self._child.end(_END_S)

    def _report(self, event: str) -> dict[str, Any]:
        _, report = self._reports.get(timeout=_START_S)
        if report is None or report["event"] != event:
            raise RuntimeError(f"the gateway did not start: {self._child.last_words()}")
        return report
