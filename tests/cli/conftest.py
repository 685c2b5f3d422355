"""A deployment on moto, and the command run on it: in this process, and as an operator runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import botocore.session
import pytest
from gateway.cli.main import app
from typer.testing import CliRunner, Result

from infra.local.credentials import CREDENTIALS, REGION
from infra.local.resources import Resources
from infra.local.template import load_template
from tests.support.moto_process import moto_process

ROOT = Path(__file__).parents[2]
STACK = "studiolm"


@dataclass(frozen=True)
class Deployment:
    """Where a table, a queue and a CloudFormation stack that names them are to be found."""

    url: str
    table: str
    queue_url: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which botocore reaches it, and nothing that could reach anything else."""
        return {
            **CREDENTIALS,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """The table and queue of template.yaml on a moto server of their own, and a stack that tells their names."""
    with moto_process() as url, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in Deployment(url=url, table="", queue_url="").environment.items():
            patch.setenv(name, value)
        template = load_template(ROOT / "template.yaml", region=REGION, account_id="123456789012", stack_name=STACK)
        resources = Resources(template, stack_name=STACK)
        resources.make_all()
        table, queue_url = resources.reference("Table"), resources.reference("OutboxQueue")
        botocore.session.get_session().create_client("cloudformation").create_stack(
            StackName=STACK,
            TemplateBody=(
                "Resources: {Topic: {Type: AWS::SNS::Topic}}\n"
                f"Outputs: {{TableName: {{Value: {table}}}, OutboxQueueUrl: {{Value: '{queue_url}'}}}}\n"
            ),
        )
        patch.undo()
        yield Deployment(url=url, table=table, queue_url=queue_url)


@pytest.fixture
def operator(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """An operator whose shell reaches the deployment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in deployment.environment.items():
        monkeypatch.setenv(name, value)
    return Operator(deployment.table)


@dataclass(frozen=True)
class Operator:
    """Runs the command in this process, on one table unless the arguments choose another way."""

    table: str

    def run(self, *arguments: str) -> Result:
        """The command's result, whatever it is."""
        chosen = () if arguments[0].startswith("--") else ("--table", self.table)
        return CliRunner().invoke(app, (*chosen, *arguments))

    def output(self, *arguments: str) -> str:
        """What a command prints that must succeed."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refusal(self, *arguments: str) -> str:
        """The one sentence of a command that must fail, and print nothing else."""
        result = self.run(*arguments)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        return result.stderr.strip()

    def values(self, *arguments: str) -> dict[str, str]:
        """The NAME=value lines that a command prints."""
        return dict(line.split("=", 1) for line in self.output(*arguments).splitlines())


def run_process(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The console script's entry as a process of its own, with this environment and no other."""
    return subprocess.run(
        [sys.executable, "-c", "from gateway.cli.main import run; run()", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.devnull, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
