"""`sam local invoke`: every function on every example event, in a container with Lambda's layout (`make test-sam`).

What the functions call at AWS is played on the host, at the address under which containers see it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from infra.local.credentials import CREDENTIALS, REGION
from tests.deployed.environment import ADAPTER, ROOT, variables_of
from tests.deployed.events import function_of, read_event
from tests.support.engine_pieces import whole
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import Stack

EVENTS = sorted(path.stem for path in (ROOT / "events").glob("*.json"))
SAM = ROOT / ".venv-sam/bin/sam"
ARCHITECTURE = "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"


def bridge_address() -> str:
    """The host's own address on Docker's default network."""
    asked = ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


class Relay:
    """A port on the bridge that leads to a port of loopback."""

    def __init__(self, address: str, port: int) -> None:
        self._listener = socket.create_server((address, 0))
        self._target = port
        self.url = f"http://{address}:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._target)) as far:
            back = threading.Thread(target=_pump, args=(far, near), daemon=True)
            back.start()
            _pump(near, far)
            back.join()

    def close(self) -> None:
        """Takes no new connections."""
        # Closing alone does not wake a thread that waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.engine.engine = ScriptedEngine([Script(pieces=whole("Paris"))])
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def variables(stack: Stack) -> Iterator[dict[str, dict[str, str]]]:
    """Each function's variables, with AWS under the host's address."""
    relays: dict[str, Relay] = {}

    def from_outside(match: re.Match[str]) -> str:
        relay = relays[match[1]] = relays.get(match[1]) or Relay(bridge_address(), int(match[1]))
        return relay.url

    # The emulator in the container has taken the port that the adapter asks for in Lambda.
    yield {
        name: {
            variable: re.sub(r"http://127\.0\.0\.1:(\d+)", from_outside, value)
            for variable, value in {**variables_of(stack, name), "AWS_LWA_PORT": "8123"}.items()
        }
        for name in stack.functions
    }
    for relay in relays.values():
        relay.close()


@pytest.fixture(scope="module")
def template(variables: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built template with these variables (SAM passes on only what a template declares) and with the adapter's
    layer from here (AWS's own can only be had with an account)."""
    layer = tmp_path_factory.mktemp("layer")
    (layer / "extensions").mkdir()
    (layer / "extensions/lambda-adapter").write_bytes(ADAPTER.read_bytes())
    (layer / "extensions/lambda-adapter").chmod(0o755)
    (layer / "bootstrap").write_text('#!/bin/sh\nexec "$LAMBDA_TASK_ROOT/$_HANDLER"\n')
    (layer / "bootstrap").chmod(0o755)
    built = ROOT / ".aws-sam/build/template.yaml"
    document = yaml_parse(built.read_text("utf-8"))
    for name, values in variables.items():
        document["Resources"][name]["Properties"]["Environment"] = {"Variables": values}
    adapter = {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": str(layer)}}
    document["Resources"]["AdapterLayer"] = adapter
    # Our own two come from the template's globals.
    document["Resources"]["ChatFunction"]["Properties"]["Layers"] = [{"Ref": "AdapterLayer"}]
    beside = built.with_name(f"template.{os.environ.get('PYTEST_XDIST_WORKER', 'local')}.json")
    beside.write_text(json.dumps(document), "utf-8")
    return beside


@pytest.mark.timeout(300)
@pytest.mark.parametrize("event", EVENTS)
def test_sam_invokes_a_function_on_an_example_event(event: str, template: Path) -> None:
    command: list[str | Path] = [
        *(SAM, "local", "invoke", function_of(event), "--template", template),
        *("--event", ROOT / "events" / f"{event}.json", "--skip-pull-image"),
        *("--parameter-overrides", f"Architecture={ARCHITECTURE} CodeRevision=local"),
    ]
    # SAM gives a container the credentials that it has itself.
    environment = {**os.environ, **CREDENTIALS, "AWS_DEFAULT_REGION": REGION}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    if function_of(event) == "ChatFunction":
        # The emulator does not stream: it prints prelude, NULs and body when all is over.
        prelude, _, body = done.stdout.partition("\0" * 8)
        status = 400 if event.endswith("_bad") else 200
        assert json.loads(prelude)["statusCode"] == status
        assert ("Paris" in body) == (status == 200)
        return
    answer: Any = json.loads(done.stdout.strip().splitlines()[-1] or "null")
    assert "errorMessage" not in (answer or {}), answer
    if read_event(event).get("httpMethod"):
        assert answer["statusCode"] < 500, answer
