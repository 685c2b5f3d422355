"""Clients that are scripts of their own: run against the stack, they print a report."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.local_stack import MODEL, LocalStack


def report_of(command: Sequence[str | Path], stack: LocalStack, *, timeout_s: float, folder: Path) -> dict[str, Any]:
    """What the script's last line says."""
    environment = {**os.environ, "BASE_URL": stack.base_url, "API_KEY": stack.api_key, "MODEL": MODEL}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=timeout_s, check=False
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report
