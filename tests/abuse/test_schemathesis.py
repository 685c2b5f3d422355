"""Schemathesis on the service's own document: every check, every phase, links between operations, our streams too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.abuse.hooks import OWN_KEY_ID
from tests.support.gateway_process import GatewayProcess
from tests.support.stack import OpenedAccount

ROOT = Path(__file__).parents[2]
MEMORY_MB = 40
"""What thousands of odd requests may leave behind, or need at once, over what the process held before."""


@pytest.mark.timeout(900)
def test_the_service_is_as_its_document_says_whatever_is_asked(
    gateway: GatewayProcess, account: OpenedAccount, tmp_path: Path
) -> None:
    gateway.forget_peak()  # other tests of this process have sent it their largest bodies
    before = gateway.memory_mb()
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file", str(ROOT / "tests" / "abuse" / "schemathesis.toml"),
        "run", f"{gateway.base_url}/openapi.json",
        "--header", f"Authorization: Bearer {account.key}",
        "--no-color",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), OWN_KEY_ID: account.key_id}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert gateway.memory_mb("VmHWM") < before + MEMORY_MB
    assert "Traceback" not in gateway.log.read_text("utf-8")
