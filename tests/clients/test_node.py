"""JavaScript clients under Node, unmodified: a plain `fetch` loop, the `openai` package, Vercel's AI SDK."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.scripts import report_of
from tests.support.local_stack import MODEL, RAMBLING, LocalStack

FOLDER = Path(__file__).parent / "node"
LOCK = FOLDER / "package-lock.json"
# npm writes it last: an interrupted installation has none, and a changed lock makes it old
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"
_INSTALL_S = 100
_SCRIPT_S = 100

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")


def _run(script: str, stack: LocalStack) -> dict[str, Any]:
    return report_of(["node", script], stack, timeout_s=_SCRIPT_S, folder=FOLDER)


@pytest.fixture(scope="module")
def packages() -> None:
    """What package-lock.json names, installed once."""
    if INSTALLED.exists() and INSTALLED.stat().st_mtime >= LOCK.stat().st_mtime:
        return
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, timeout=_INSTALL_S)


def test_a_fetch_loop_that_keeps_no_partial_lines_sees_every_token(stack: LocalStack) -> None:
    body = {"model": MODEL, "messages": RAMBLING, "temperature": 0, "max_tokens": 120}
    whole = httpx.post(f"{stack.base_url}/v1/chat/completions", json=body, headers=stack.headers, timeout=60).json()

    seen = _run("fetch_loop.mjs", stack)

    assert seen["status"] == 200
    assert seen["broken"] == 0
    assert seen["done"]
    assert seen["text"] == whole["choices"][0]["message"]["content"]
    assert seen["reads"] > 1, "it came as one piece"


@pytest.mark.usefixtures("packages")
def test_the_openai_package_asks_streams_calls_and_fails_as_it_should(stack: LocalStack) -> None:
    seen = _run("openai_sdk.mjs", stack)

    assert seen["whole"] == seen["streamed"] == "The capital of France is Paris."
    assert seen["usage"] == seen["expectedUsage"]
    assert {name: type(value) for name, value in seen["arguments"].items()} == {"a": int, "b": int}
    assert seen["refused"] == {"name": "NotFoundError", "status": 404, "type": "not_found_error", "param": "model"}
    assert MODEL in seen["models"]


@pytest.mark.usefixtures("packages")
def test_the_ai_sdk_generates_text_streams_objects_and_tool_calls(stack: LocalStack) -> None:
    seen = _run("ai_sdk.mjs", stack)

    assert seen["whole"] == seen["streamed"] == "The capital of France is Paris."
    assert seen["finishReason"] == "stop"
    assert seen["usage"] == seen["streamedUsage"]
    assert seen["usage"]["output"] > 0
    assert isinstance(seen["object"]["city"], str)
    assert seen["called"][0]["toolName"] == "add"
    assert seen["called"][0]["input"].keys() == {"a", "b"}
    assert seen["refused"]["status"] == 404
    assert "gpt-nonesuch" in seen["refused"]["message"]


def test_the_lock_names_no_host() -> None:
    assert "resolved" not in LOCK.read_text("utf-8")
