"""What is measured of ours: the gateway as it runs in Lambda, and the upstream itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.client import Target
from benchmarks.processes import ROOT, Running, plain_environment, run
from benchmarks.table import KEY, MODEL, Table, stack_environment
from infra.local.credentials import STACK_NAME
from tests.support.ports import free_port

ENDPOINT = f"{STACK_NAME}-{MODEL}"


def chat_command() -> list[str]:
    """`run.sh`'s own command line, its shell and its interpreter's name filled in."""
    line = (ROOT / "functions" / "chat" / "run.sh").read_text().splitlines()[-1]
    words = line.removeprefix("exec python3 ").replace('"${AWS_LWA_PORT:-8080}"', "PORT").split()
    return [sys.executable, *words]


@contextmanager
def run_gateway(name: str, table: Table, *, table_url: str, engine_url: str) -> Iterator[tuple[Target, Running]]:
    """The chat function under its own command."""
    port = free_port()
    environment = plain_environment(**stack_environment(table, table_url=table_url, engine_url=engine_url))
    command = [str(port) if word == "PORT" else word for word in chat_command()]
    with run(command, port=port, environment=environment, folder=ROOT / "functions" / "chat") as process:
        headers = {"Authorization": f"Bearer {KEY}"}
        yield Target(name=name, port=port, pid=process.pid, headers=headers, model=MODEL), process


def direct(upstream: Running, *, model: str = MODEL) -> Target:
    """The upstream itself."""
    return Target(name="upstream", port=upstream.port, pid=upstream.pid, headers={}, model=model)
