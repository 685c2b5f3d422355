"""Cold starts: a process from its exec to its first byte, and the CPU seconds of imports."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks.processes import ROOT, plain_environment, run
from benchmarks.rivals import LITELLM
from benchmarks.targets import chat_command
from tests.support.ports import free_port

_CPU = "import time;t=time.process_time();{};print(time.process_time()-t)"
_OURS = "import app;app.app.app"
_YARDSTICK = "import fastapi,boto3;boto3.client('dynamodb')"
_DYNAMODB = "import botocore.session;botocore.session.get_session().create_client('dynamodb')"
_VALGRIND = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]


def measure_first_byte(environment: Mapping[str, str], count: int) -> dict[str, Any]:
    """Seconds from exec of `run.sh`'s command to the first byte of /health."""
    found = []
    for _ in range(count):
        port = free_port()
        began_s = time.perf_counter()
        command = [str(port) if word == "PORT" else word for word in chat_command()]
        with run(command, port=port, environment=environment, folder=ROOT / "functions" / "chat") as process:
            urlopen(f"{process.url}/health", timeout=10).close()
            found.append(time.perf_counter() - began_s)
    return {"median": statistics.median(found), "of": found}


def measure_imports(environment: Mapping[str, str], count: int, *, instructions: bool) -> dict[str, Any]:
    """CPU seconds of the chat function's import and construction, and of the yardstick where it can be had.

    The yardstick is `import fastapi, boto3` and one client, in the environment of LiteLLM, which has both. Bytecode is
    compiled before: an environment that has none would be charged for it at each start.
    """
    ours = [sys.executable, "-c", _CPU.format(_OURS)]
    commands = {"ours": ours, "botocore and one client": [sys.executable, "-c", _CPU.format(_DYNAMODB)]}
    python = LITELLM.parent / "python"
    if python.exists():
        commands["fastapi, boto3 and one client"] = [str(python), "-c", _CPU.format(_YARDSTICK)]
    with tempfile.TemporaryDirectory() as cache:
        cached = {**environment, "PYTHONPYCACHEPREFIX": cache, "PYTHONHASHSEED": "0"}
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(count + 1):
            for name, command in commands.items():
                took_s = float(_run(command, cached).stdout)
                if turn:  # the first one wrote the bytecode
                    seconds[name].append(took_s)
        found: dict[str, Any] = {
            name: {"median": statistics.median(values), "of": values} for name, values in seconds.items()
        }
        if instructions and shutil.which("valgrind"):
            for name, command in commands.items():
                found[name]["instructions"] = _instructions(_run([*_VALGRIND, *command], cached).stderr)
    return found


def _run(command: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    folder: Path = ROOT / "functions" / "chat"
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)


def _instructions(told: str) -> int:
    line = next(line for line in told.splitlines() if "refs:" in line)
    return int(line.rpartition(":")[2].replace(",", ""))


def measure_local_run(count: int) -> dict[str, Any]:
    """Seconds from `make run`'s command to its READY line, everything installed and run once before."""
    with tempfile.TemporaryDirectory() as cache:
        environment = plain_environment(PORT="0", PYTHONPYCACHEPREFIX=cache)
        _, *found = [_local_run_s(environment) for _ in range(count + 1)]  # the first one wrote the bytecode
    return {"median": statistics.median(found), "of": found}


def _local_run_s(environment: Mapping[str, str]) -> float:
    began_s = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "infra.local"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.strip() == "READY":
                    return time.perf_counter() - began_s
        finally:
            process.terminate()
    raise RuntimeError("the local stack did not start")
