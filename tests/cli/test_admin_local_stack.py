"""`studiolm-admin --local` on what `make run` runs, with the real model."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.cli.conftest import run_process
from tests.support.local_stack import MODEL, LocalStack

pytestmark = pytest.mark.model


def test_the_operator_of_a_local_stack_finds_it_by_its_port_until_it_stops(tmp_path: Path) -> None:
    home = {"XDG_CACHE_HOME": str(tmp_path)}
    stack = LocalStack.start(home)
    port = str(urlsplit(stack.base_url).port)
    try:
        opened = run_process("--local", "--port", port, "accounts", "create", "Ann", "--plan", "free", environment=home)
        assert opened.returncode == 0, opened.stderr
        account, key = (line.split("=", 1)[1] for line in opened.stdout.splitlines())
        headers = {"authorization": f"Bearer {key}"}
        request = {"model": MODEL, "max_tokens": 3, "messages": [{"role": "user", "content": "Hi"}]}
        with httpx.Client(base_url=stack.base_url, headers=headers, timeout=60) as client:
            told = client.post("/v1/chat/completions", json=request).raise_for_status().json()["usage"]
            shown = run_process("--local", "--port", port, "usage", account, "--json", environment=home)
            assert json.loads(shown.stdout)["today"]["total_tokens"] == told["total_tokens"]
            suspended = run_process("--local", "--port", port, "accounts", "suspend", account, environment=home)
            assert suspended.returncode == 0
            refused = client.post("/v1/chat/completions", json=request)
            assert (refused.status_code, refused.json()["error"]["reason"]) == (403, "account_suspended")
    finally:
        stack.stop()
    assert list((tmp_path / "studiolm").iterdir()) == []
    gone = run_process("--local", "--port", port, "accounts", "list", environment=home)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr == f"No local stack runs on port {port}: start it with `make run`, or name its --port.\n"
