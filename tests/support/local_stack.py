"""`python -m infra.local` as a test sees it: a process, four lines of its output, and an end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Self

import pytest
from gateway.bootstrap.parts.administering import Administering
from gateway.catalogue import load_catalogue
from gateway.config import Settings

from infra.local.credentials import STACK_NAME, local_environment
from infra.local.models import choose_models

ROOT = Path(__file__).resolve().parents[2]
MODEL = "smollm2-135m-instruct"
CAPITAL = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]
"""The page's own conversation; the small model answers it rightly at temperature 0."""
RAMBLING = [{"role": "user", "content": "What is the capital of France?"}]
"""Without a system message the small model never ends this answer by itself at temperature 0."""

_TABLE_NAME = f"{STACK_NAME}-Table"
_START_S = 90
_STOP_S = 10
_SETTINGS = ("PORT", "API_KEY", "MODEL_PATHS", "SEARCH_BACKEND", "SEARCH_URL", "SEARCH_BUDGET_S", "SEARCH_BUDGET_USD")


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A running stack: where it answers, and with which key."""

    base_url: str
    api_key: str
    aws_endpoint_url: str
    process: subprocess.Popen[str]

    @classmethod
    def start(cls, settings: Mapping[str, str] | None = None) -> Self:
        """A ready stack under these variables, on a free port and without web search unless they say otherwise.

        Raises RuntimeError with the output where it ends or hangs before READY.
        """
        outer = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**outer, "PORT": "0", "SEARCH_BACKEND": "none", **(settings or {})},
            text=True,
        )
        try:
            values = _read_until_ready(process)
        except BaseException:
            _end(process)
            raise
        return cls(values["BASE_URL"], values["API_KEY"], values["AWS_ENDPOINT_URL"], process)

    def stop(self) -> None:
        """Ends it as a terminal's close would, and by force where that takes too long."""
        _end(self.process)

    @property
    def headers(self) -> dict[str, str]:
        """What authorises the stack's own account."""
        return bearer(self.api_key)

    def open_account(self, *, plan: str, hard_cap_tokens: int | None = None) -> str:
        """The key of a new account, made by the operator's own use case in this stack's table."""
        settings = Settings(table_name=_TABLE_NAME, outbox_queue_url="", stack_name=STACK_NAME)
        with pytest.MonkeyPatch.context() as environment:
            for name, value in local_environment({}).items():
                environment.setenv(name, value)
            environment.setenv("AWS_ENDPOINT_URL", self.aws_endpoint_url)
            gateway = Administering(settings)
            opening = gateway.administration.open(name="test", plan=plan, hard_cap_tokens=hard_cap_tokens)
            _account, key = asyncio.run(opening)
        gateway.clients.forget()
        return key


def bearer(api_key: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"Authorization": f"Bearer {api_key}"}


def model_file() -> Path:
    """The GGUF that the local run serves by default."""
    return choose_models([], load_catalogue().models, available_bytes=None)[0].file.path


def _read_until_ready(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    output = process.stdout
    lines: SimpleQueue[str | None] = SimpleQueue()

    def read() -> None:
        # to the end of the process, or a full pipe would stop it one day
        with output:
            for line in output:
                lines.put(line.rstrip("\n"))
        lines.put(None)

    Thread(target=read, name="local-stack-output", daemon=True).start()
    deadline = monotonic() + _START_S
    seen: list[str] = []
    while (line := _next(lines, deadline - monotonic())) != "READY":
        if line is None:
            raise RuntimeError("The local stack did not start:\n" + "\n".join(seen))
        seen.append(line)
    return dict(line.split("=", 1) for line in seen if line.split("=", 1)[0].isupper() and "=" in line)


def _next(lines: SimpleQueue[str | None], within_s: float) -> str | None:
    try:
        return lines.get(timeout=max(0.0, within_s))
    except Empty:
        return None


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        # its children hold a lifeline to it and end with it
        process.kill()
        process.wait()


_RUNNING = pytest.StashKey[LocalStack]()


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> LocalStack:
    """The one stack of the session, whichever folders import this fixture."""
    stash = request.config.stash
    if _RUNNING not in stash:
        running = LocalStack.start()
        request.config.add_cleanup(running.stop)
        stash[_RUNNING] = running
    return stash[_RUNNING]
