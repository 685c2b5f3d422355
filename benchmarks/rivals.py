"""The peers on the scripted upstream: LiteLLM's proxy, Portkey's gateway, AWS's sample gateway for Bedrock.

Each is started as its own documentation says, with one key and one model, one process, its log at warnings or above.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bedrock import MODEL_ID
from benchmarks.client import Target
from benchmarks.processes import ROOT, Running, plain_environment, run
from benchmarks.table import MODEL
from infra.local.credentials import local_environment
from tests.support.ports import free_port

PEERS = ROOT / "build" / "bench"
LITELLM = PEERS / "litellm" / "bin" / "litellm"
PORTKEY = PEERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
BEDROCK_PYTHON = PEERS / "bedrock-access-gateway" / "bin" / "python"
BEDROCK_SOURCE = "BEDROCK_ACCESS_GATEWAY"
"""Names a checkout of aws-samples/bedrock-access-gateway, which is no package; nothing of it is in this tree."""
_PEER_KEY = "sk-peer"

Started = tuple[Target, Running]


@dataclass(frozen=True, slots=True)
class Rival:
    """A peer, and why it can't be measured, if so."""

    name: str
    missing: str | None
    start: Callable[[Running, Path], AbstractContextManager[Started]]
    many_streams: bool = True
    """Whether it can be asked for hundreds of slow streams."""


def rivals() -> list[Rival]:
    """All peers, the ones that are not here too."""
    return [
        Rival("Portkey gateway", _unless(PORTKEY), run_portkey),
        Rival("LiteLLM proxy", _unless(LITELLM), run_litellm),
        # its event loop itself waits for Bedrock's next message, so slow streams would come one after the other
        Rival(
            "Bedrock access gateway",
            _no_source() or _unless(BEDROCK_PYTHON),
            run_bedrock_access_gateway,
            many_streams=False,
        ),
    ]


def _unless(path: Path) -> str | None:
    return None if path.exists() else f"not installed at {path.relative_to(ROOT)}"


def _no_source() -> str | None:
    folder = os.environ.get(BEDROCK_SOURCE, "")
    return None if folder and _source().is_dir() else f"{BEDROCK_SOURCE}={folder} is no checkout of it"


def _source() -> Path:
    return Path(os.environ[BEDROCK_SOURCE]).resolve() / "src"


@contextmanager
def run_litellm(upstream: Running, folder: Path) -> Iterator[Started]:
    """LiteLLM's proxy, one worker."""
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
        yield _target("LiteLLM proxy", process), process


@contextmanager
def run_portkey(upstream: Running, folder: Path) -> Iterator[Started]:
    """Portkey's gateway; where it sends a request is told by the request."""
    port = free_port()
    environment = plain_environment(NODE_ENV="production", TRUSTED_CUSTOM_HOSTS="127.0.0.1,localhost")
    command = ["node", str(PORTKEY), f"--port={port}", "--headless"]
    with run(command, port=port, environment=environment, folder=folder) as process:
        to = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{upstream.url}/v1"}
        yield _target("Portkey gateway", process, headers=to), process


@contextmanager
def run_bedrock_access_gateway(upstream: Running, _folder: Path) -> Iterator[Started]:
    """AWS's sample, by its container's own command, before Bedrock's faces of the upstream.

    It fetches a tokenizer when it is imported, as its image does when it is built. Where LiteLLM is installed, the same
    file is taken from there.
    """
    port = free_port()
    told = {**local_environment({}), "API_KEY": _PEER_KEY}
    told |= {f"AWS_ENDPOINT_URL_{service}": upstream.url for service in ("BEDROCK", "BEDROCK_RUNTIME")}
    tokenizers = [path.parent for path in LITELLM.parents[1].glob("lib/*/site-packages/litellm/**/tokenizers/*")]
    if tokenizers:
        told["TIKTOKEN_CACHE_DIR"] = str(tokenizers[0])
    command = [str(BEDROCK_PYTHON), "-m", "uvicorn", "api.app:app", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--log-level", "warning"]
    with run(command, port=port, environment=plain_environment(**told), folder=_source()) as process:
        path = "/api/v1/chat/completions"
        yield _target("Bedrock access gateway", process, path=path, model=MODEL_ID), process


def _target(
    name: str,
    process: Running,
    *,
    headers: Mapping[str, str] | None = None,
    path: str = "/v1/chat/completions",
    model: str = MODEL,
) -> Target:
    sent = {"Authorization": f"Bearer {_PEER_KEY}", **(headers or {})}
    return Target(name=name, port=process.port, pid=process.pid, path=path, headers=sent, model=model)
