"""How the command finds its deployment, as a process of its own: the way an operator runs it."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path

import pytest
from gateway.cli.local_stack import read_record, record_path, write_record

from tests.cli.conftest import STACK, Deployment, Operator, run_process


def recorded(deployment: Deployment, cache: Path, *, port: int) -> dict[str, str]:
    """The environment of an operator on whose machine a local stack keeps its record."""
    outer = {"XDG_CACHE_HOME": str(cache)}
    variables = {"TABLE_NAME": deployment.table, "OUTBOX_QUEUE_URL": deployment.queue_url, "STACK_NAME": STACK}
    write_record(record_path(port, outer), deployment.environment | variables)
    return outer


def test_an_account_opened_by_one_process_is_listed_by_the_next(deployment: Deployment) -> None:
    opened = run_process(
        "accounts", "create", "Process", "--plan", "free", environment={**deployment.environment, "LANG": "C.UTF-8"}
    )
    assert (opened.returncode, opened.stderr) == (0, "The key is shown this once; store it now.\n")
    account, key = (line.split("=", 1)[1] for line in opened.stdout.splitlines())
    listed = run_process("--stack", STACK, "accounts", "list", environment=deployment.environment)
    assert account in listed.stdout
    assert key not in listed.stdout
    assert "\x1b" not in listed.stdout


def test_a_table_that_is_named_is_used_without_asking_the_stack(operator: Operator, deployment: Deployment) -> None:
    assert operator.output("--table", deployment.table, "--stack", "not-there", "accounts", "list")


def test_a_region_that_is_named_is_the_one_asked(operator: Operator) -> None:
    assert "region" in operator.refusal("--region", "eu-west-1", "accounts", "list")


def test_the_environment_is_as_it_was_after_a_command(operator: Operator) -> None:
    before = dict(os.environ)
    operator.refusal("--region", "eu-west-1", "accounts", "list")
    assert dict(os.environ) == before


def test_the_local_stack_is_found_by_its_record_and_no_real_account_is_touched(
    deployment: Deployment, tmp_path: Path
) -> None:
    outer = recorded(deployment, tmp_path, port=8123)
    real = {
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }
    result = run_process("--local", "--port", "8123", "accounts", "list", "--json", environment=outer | real)
    assert (result.returncode, result.stderr) == (0, "")
    json.loads(result.stdout)


def test_a_record_is_for_its_own_port_and_its_own_user(deployment: Deployment, tmp_path: Path) -> None:
    outer = recorded(deployment, tmp_path, port=8123)
    path = record_path(8123, outer)
    assert read_record(path) is not None
    assert read_record(record_path(8124, outer)) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_the_record_of_a_stack_that_was_killed_is_no_stack(
    operator: Operator, deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = Deployment(f"http://127.0.0.1:{closed.getsockname()[1]}", deployment.table, deployment.queue_url)
    outer = recorded(gone, tmp_path, port=8000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert operator.refusal("--local", "accounts", "list") == (
        "No local stack runs on port 8000: start it with `make run`, or name its --port."
    )
    recorded(deployment, tmp_path, port=8001)
    assert not record_path(8000, outer).exists()
    assert record_path(8001, outer).exists()


@pytest.mark.parametrize(
    ("arguments", "changes", "words"),
    [
        ((), {"AWS_DEFAULT_REGION": ""}, "name it with --region"),
        ((), {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "choose a profile with --profile"),
        (("--profile", "nobody"), {}, "no such AWS profile"),
        (("--stack", "not-there"), {}, "no CloudFormation stack 'not-there'"),
        (("--table", "not-there"), {}, "no such table"),
    ],
)
def test_a_deployment_that_cannot_be_reached_is_one_sentence_with_the_remedy(
    deployment: Deployment, arguments: tuple[str, ...], changes: dict[str, str], words: str
) -> None:
    environment = {name: value for name, value in (deployment.environment | changes).items() if value}
    result = run_process(*arguments, "accounts", "list", environment=environment)
    assert (result.returncode, result.stdout) == (1, "")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
