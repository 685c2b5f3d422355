"""What is measured: our gateway as it runs in Lambda, the peers, and the upstream itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.client import Target
from benchmarks.processes import ROOT, Running, free_port, plain_environment, run
from benchmarks.table import KEY, MODEL, Table, stack_environment
from infra.local.credentials import STACK_NAME

PEERS = ROOT / "build" / "bench"
LITELLM = PEERS / "litellm" / "bin" / "litellm"
PORTKEY = PEERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
ENDPOINT = f"{STACK_NAME}-{MODEL}"
_PEER_KEY = "sk-peer"


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


@contextmanager
def run_litellm(upstream: Running, folder: Path) -> Iterator[tuple[Target, Running]]:
    """LiteLLM's proxy with one model and one key, one worker, its log at errors."""
    port = free_port()
    parameters = {"model": f"openai/{MODEL}", "api_base": f"{upstream.url}/v1", "api_key": _PEER_KEY}
    configuration = {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "general_settings": {"master_key": _PEER_KEY},
    }
    path = folder / "litellm.json"
    path.write_text(json.dumps(configuration))
    command = [str(LITELLM), "--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    environment = plain_environment(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_LOG="ERROR", LITELLM_TELEMETRY="False")
    with run(command, port=port, environment=environment, folder=folder) as process:
        yield _peer("LiteLLM proxy", process, {"Authorization": f"Bearer {_PEER_KEY}"}), process


@contextmanager
def run_portkey(upstream: Running, folder: Path) -> Iterator[tuple[Target, Running]]:
    """Portkey's gateway; where it sends a request is told by the request."""
    port = free_port()
    environment = plain_environment(NODE_ENV="production", TRUSTED_CUSTOM_HOSTS="127.0.0.1,localhost")
    with run(
        ["node", str(PORTKEY), f"--port={port}", "--headless"], port=port, environment=environment, folder=folder
    ) as process:
        headers = {
            "Authorization": f"Bearer {_PEER_KEY}",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{upstream.url}/v1",
        }
        yield _peer("Portkey gateway", process, headers), process


def direct(upstream: Running, *, model: str = MODEL) -> Target:
    """The upstream itself."""
    return Target(name="upstream", port=upstream.port, pid=upstream.pid, headers={}, model=model)


def _peer(name: str, process: Running, headers: Mapping[str, str]) -> Target:
    return Target(name=name, port=process.port, pid=process.pid, headers=headers, model=MODEL)
