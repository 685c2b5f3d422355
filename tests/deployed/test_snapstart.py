"""A snapshot of the chat function: what is loaded before it, and what each environment made of it has for itself.

The adapter of the crate knows no SnapStart yet. Its two calls (an empty POST before the snapshot, one after each
restore; anything but 2xx fails the phase) are played here, on the function's own port.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.deployed.environment import ROOT, chat_process, function_environment, isolated_python
from tests.deployed.events import http_event
from tests.deployed.runtime_api import RuntimeApi
from tests.deployed.tap import CredentialsEndpoint, Tap
from tests.support.engine_pieces import whole
from tests.support.hand_engine import HandEngine
from tests.support.http_client import Connection, request
from tests.support.stack import MODEL, OpenedAccount, Stack

BEFORE, AFTER = "AWS_LWA_SNAPSTART_BEFORE_CHECKPOINT_PATH", "AWS_LWA_SNAPSTART_AFTER_RESTORE_PATH"
KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}


@pytest.fixture
def credentials() -> Iterator[CredentialsEndpoint]:
    endpoint = CredentialsEndpoint()
    yield endpoint
    endpoint.close()


@pytest.fixture
def taps(stack: Stack) -> Iterator[dict[str, Tap]]:
    """The wires to DynamoDB and to SageMaker."""
    taps = {
        name: Tap(urlsplit(stack.environment[name]).port or 0)
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME")
    }
    yield taps
    for tap in taps.values():
        tap.close()


@pytest.fixture
def port(stack: Stack, credentials: CredentialsEndpoint, taps: dict[str, Tap], tmp_path: Path) -> Iterator[int]:
    """The chat function's own port, with credentials by address, as Lambda gives them under SnapStart."""
    variables = {name: value for name, value in stack.environment.items() if name not in KEYS}
    variables |= {name: tap.url for name, tap in taps.items()} | credentials.variables
    with chat_process(variables, state=tmp_path) as port:
        yield port


def ask(port: int, account: OpenedAccount, engine: HandEngine) -> str:
    """The text of an answer."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}).encode()
    headers = {**account.authorization, "Content-Type": "application/json"}
    number = len(engine.calls)
    with Connection(port) as connection:
        connection.send("POST", "/v1/chat/completions", headers=headers, body=body)
        call = engine.call(number)
        call.give(*whole("Hello"))
        call.end()
        answer = connection.read_response()
    assert answer.status == 200, answer.body
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


def test_a_restored_environment_has_credentials_and_connections_of_its_own(
    port: int,
    stack: Stack,
    account: OpenedAccount,
    engine: HandEngine,
    credentials: CredentialsEndpoint,
    taps: dict[str, Tap],
) -> None:
    assert ask(port, account, engine) == "Hello"
    assert all(set(tap.sessions) == {"at-init"} for tap in taps.values())
    assert request(port, "POST", stack.environment[BEFORE]).status == 204

    credentials.session = "after-restore"
    for tap in taps.values():
        tap.begin_anew()
    assert request(port, "POST", stack.environment[AFTER]).status == 204
    assert ask(port, account, engine) == "Hello"
    assert all(set(tap.sessions) == {"after-restore"} for tap in taps.values())
    assert all(tap.connections > 0 for tap in taps.values())


@pytest.mark.parametrize("hook", [BEFORE, AFTER])
def test_an_invocation_reaches_no_hook(hook: str, runtime: RuntimeApi, stack: Stack) -> None:
    status, _, body = runtime.invoke(http_event("apigw_chat", path=stack.environment[hook])).read_answer()
    assert (status, json.loads(body)["error"]["reason"]) == (404, "route_not_found")


# A fork of the C library: memory is copied as a snapshot copies it, and Python, which reseeds after forks that it knows
# of, is told as little as it is by a snapshot.
FORKS = """
import ctypes, json, os, sys
from gateway.bootstrap.chat import ChatFunction

gateway = ChatFunction.from_environment()
gateway.chat_app()
gateway.before_snapshot()
gateway.clock.jitter()
loaded = set(sys.modules)
fork = ctypes.PyDLL(None).fork
for _ in range(2):
    if fork() == 0:
        if sys.argv[1] == "hooked":
            gateway.after_restore()
        drawn = {"jitter": gateway.clock.jitter(), "request_id": gateway.ids.request_id()}
        print(json.dumps(drawn | {"imported": sorted(set(sys.modules) - loaded)}), flush=True)
        os._exit(0)
    os.wait()
"""


def restored_twice(stack: Stack, folder: Path, *, hooked: bool) -> list[dict[str, object]]:
    """What two environments made of one snapshot draw first."""
    python = isolated_python(folder / "bin")
    done = subprocess.run(
        [python / "python3", "-c", FORKS, "hooked" if hooked else "plain"],
        env=function_environment(stack.environment, python=python, task_root=ROOT / "functions/chat"),
        cwd=ROOT / "functions/chat",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_two_environments_of_one_snapshot_draw_different_numbers_and_ids(stack: Stack, tmp_path: Path) -> None:
    first, second = restored_twice(stack, tmp_path, hooked=True)
    assert first["jitter"] != second["jitter"]
    assert first["request_id"] != second["request_id"]


def test_without_the_hook_they_would_draw_the_same_numbers(stack: Stack, tmp_path: Path) -> None:
    first, second = restored_twice(stack, tmp_path, hooked=False)
    assert first["jitter"] == second["jitter"]
    assert first["request_id"] != second["request_id"]  # the kernel's, which Lambda keeps apart


def test_a_restore_imports_nothing_that_the_snapshot_could_have_held(stack: Stack, tmp_path: Path) -> None:
    for environment in restored_twice(stack, tmp_path, hooked=True):
        assert environment["imported"] == []
