"""Lambda's execution environment on this machine: a function as built, behind what stands before it in Lambda.

The function's processes find the layers and the standard library, and nothing else that is installed here.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deployed.runtime_api import RuntimeApi
from tests.support.http_client import request
from tests.support.ports import free_port
from tests.support.stack import Stack

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build/deployed"
LAYERS = BUILD / "opt/python"
ADAPTER = BUILD / "adapter/bin/lambda-adapter"
_LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "tested",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    "AWS_LAMBDA_LOG_FORMAT": "JSON",
    "AWS_LAMBDA_LOG_LEVEL": "INFO",
    "TZ": ":UTC",
    "LANG": "en_US.UTF-8",
}


def isolated_python(folder: Path) -> Path:
    """A folder for PATH with a `python3` that has no site-packages of its own, as Lambda's in front of a layer."""
    folder.mkdir(exist_ok=True)
    interpreter = folder / "python3"
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    interpreter.write_text(f'#!/bin/sh\nexec {base} -S "$@"\n', "utf-8")
    interpreter.chmod(0o755)
    return folder


def function_environment(variables: Mapping[str, str], *, python: Path, task_root: Path) -> dict[str, str]:
    """What a function's processes find in their environment: Lambda's variables and the function's own."""
    return {
        "PATH": f"{python}:/usr/bin:/bin",
        "LAMBDA_TASK_ROOT": str(task_root),
        **_LAMBDA,
        **variables,
        # /opt/python in Lambda; a layer is only unpacked elsewhere here
        "PYTHONPATH": str(LAYERS),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def variables_of(stack: Stack, name: str) -> dict[str, str]:
    """A function's own variables, and those that lead to the stack's AWS; none of another function."""
    of_chat = stack.functions["ChatFunction"].environment
    return {key: value for key, value in stack.environment.items() if key not in of_chat} | {
        **stack.functions[name].environment
    }


@contextmanager
def chat_process(variables: Mapping[str, str], *, state: Path) -> Iterator[int]:
    """`run.sh` without the adapter: the port on which it would ask."""
    port = free_port()
    task_root = ROOT / "functions/chat"
    environment = function_environment(variables, python=isolated_python(state / "bin"), task_root=task_root)
    with (state / "chat.log").open("wb") as log:
        process = subprocess.Popen(
            [str(task_root / "run.sh")],
            cwd=task_root,
            env=environment | {"AWS_LWA_PORT": str(port)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_it_listens(process, port, state / "chat.log")
            yield port
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def chat_environment(variables: Mapping[str, str], *, state: Path) -> Iterator[RuntimeApi]:
    """The chat function's environment: `run.sh` behind the Lambda Web Adapter, frozen until something is invoked."""
    api = RuntimeApi()
    task_root = ROOT / "functions/chat"
    environment = function_environment(variables, python=isolated_python(state / "bin"), task_root=task_root)
    environment |= {"AWS_LAMBDA_RUNTIME_API": api.address, "AWS_LWA_PORT": str(free_port()), "_HANDLER": "run.sh"}
    with (state / "chat.log").open("wb") as log:
        # /opt/bootstrap, the exec wrapper, starts this file; the adapter is an extension, started by Lambda itself
        commands = [[str(task_root / "run.sh")], [str(ADAPTER)]]
        processes = [
            subprocess.Popen(
                command, cwd=task_root, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            for command in commands
        ]
        for process in processes:
            api.freezes(process.pid)
        try:
            yield api
        finally:
            api.stop()
            for process in processes:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class EmulatedFunction:
    """A function with a `handler.py` under the runtime emulator of the SAM CLI, which plays the Lambda service."""

    def __init__(self, folder: Path, variables: Mapping[str, str], *, state: Path) -> None:
        environment = function_environment(variables, python=isolated_python(state / "bin"), task_root=folder)
        environment["PYTHONPATH"] += f":{_runtime_folder(state / 'runtime')}"
        self._port = free_port()
        self.log = state / "function.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(_emulator()),
                    f"--runtime-interface-emulator-address=127.0.0.1:{self._port}",
                    f"--runtime-api-address=127.0.0.1:{free_port()}",
                    str(state / "bin/python3"),
                    "-m",
                    "awslambdaric",
                    "handler.handler",
                ],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _wait_until_it_listens(self._process, self._port, self.log)

    def invoke(self, event: Mapping[str, Any]) -> Any:
        """The function's answer. What it raises comes as Lambda tells it, with an `errorMessage`."""
        return request(self._port, "POST", "/2015-03-31/functions/function/invocations", body=event).json()

    def stop(self) -> None:
        """Ends the emulator and the function."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    while True:
        assert process.poll() is None, log.read_text(errors="replace")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        threading.Event().wait(0.02)


def _emulator() -> Path:
    architecture = "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"
    (binary,) = ROOT.glob(f".venv-sam/lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{architecture}")
    return binary


def _runtime_folder(folder: Path) -> Path:
    """/var/runtime: AWS's runtime client, which Lambda's image brings, and nothing beside it."""
    folder.mkdir(exist_ok=True)
    found = importlib.util.find_spec("awslambdaric")
    assert found is not None
    assert found.origin is not None
    installed = Path(found.origin).parents[1]
    for pattern in ("awslambdaric", "runtime_client*", "simplejson", "snapshot_restore_py*"):
        for part in installed.glob(pattern):
            (folder / part.name).symlink_to(part)
    return folder
