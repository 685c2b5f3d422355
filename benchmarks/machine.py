"""What Linux tells of a process and of the machine."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

_WHOLE_PROCESS = 2


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, all its threads included.

    By the process's own clock, to the nanosecond (clock_getcpuclockid(3)): `/proc` tells hundredths of a second, and a
    row's frames take ten of those.
    """
    return time.clock_gettime((~pid << 3) | _WHOLE_PROCESS)


def rss_mb(pid: int) -> float:
    """The resident memory of a process, in 10⁶ bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def describe() -> dict[str, Any]:
    """The machine as it is now."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "cpus": os.cpu_count(),
        "cpu": model[0].partition(": ")[2] if model else platform.machine(),
        "python": platform.python_version(),
        "revision": revision.stdout.strip(),
        "loadavg": os.getloadavg(),
    }
