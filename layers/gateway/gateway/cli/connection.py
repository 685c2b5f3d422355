"""From the command line's options to the gateway of a deployment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import typer
from botocore.exceptions import BotoCoreError, ClientError

from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.wire.errors import AwsRefusal, WireError
from gateway.application.staging import CannotStage
from gateway.bootstrap.admin import AdminCommand
from gateway.cli.failures import CannotConnect, explain
from gateway.cli.local_stack import read_record, record_path
from gateway.config import Settings
from gateway.domain.errors import GatewayError

Result = TypeVar("Result")

_OWN_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_LOOPBACK = "127.0.0.1,localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Which deployment to work on: the local stack on `local_port`, or on AWS a table or the stack that names it."""

    local_port: int | None
    stack: str
    table: str | None
    region: str | None
    profile: str | None

    def environment(self, outer: Mapping[str, str]) -> dict[str, str]:
        """`outer` as AWS's clients and the settings must see it. Raises CannotConnect."""
        if self.local_port is not None:
            # nothing of a real account may be left, and loopback is not reached through a proxy
            kept = {name: value for name, value in outer.items() if not name.startswith("AWS_")}
            record = read_record(record_path(self.local_port, outer))
            if record is None:
                raise CannotConnect(
                    f"No local stack runs on port {self.local_port}: start it with `make run`, or name its --port."
                )
            return kept | {"NO_PROXY": _LOOPBACK, "no_proxy": _LOOPBACK} | record
        chosen = dict(outer)
        if self.region is not None:
            chosen |= {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        if self.profile is not None:
            # AWS's clients prefer keys in the environment to a profile that is named there too
            chosen = {name: value for name, value in chosen.items() if name not in _OWN_CREDENTIALS}
            chosen["AWS_PROFILE"] = self.profile
        return chosen

    def settings(self, environment: Mapping[str, str]) -> Settings:
        """The settings of the deployment. Raises CannotConnect and what AWS's clients raise."""
        if self.local_port is not None:
            return Settings.from_environment(environment)
        outputs = {"TableName": self.table, "OutboxQueueUrl": ""} if self.table else read_outputs(self.stack)
        try:
            return Settings(
                table_name=outputs["TableName"], outbox_queue_url=outputs["OutboxQueueUrl"], stack_name=self.stack
            )
        except KeyError as missing:
            raise CannotConnect(f"The stack '{self.stack}' is none of this service: no output {missing}.") from None


def read_outputs(stack: str) -> dict[str, str]:
    """The outputs of a CloudFormation stack. Raises CannotConnect where there is no such stack."""
    try:
        answer: dict[str, Any] = Clients().invoke("cloudformation", "describe_stacks", StackName=stack)
    except AwsRefusal as error:
        if error.code != "ValidationError":
            raise
        raise CannotConnect(
            f"There is no CloudFormation stack '{stack}' in this region: name it with --stack and the region with "
            "--region, name the table with --table, or use --local."
        ) from None
    return {output["OutputKey"]: output["OutputValue"] for output in answer["Stacks"][0].get("Outputs", ())}


def run(context: typer.Context, work: Callable[[AdminCommand], Awaitable[Result]]) -> Result:
    """What `work` makes of the chosen deployment; see `connected`."""
    with connected(context) as gateway:
        return asyncio.run(_do(work, gateway))


@contextmanager
def connected(context: typer.Context, *, stack: bool = True) -> Iterator[AdminCommand]:
    """The chosen deployment's gateway; a known failure ends the command with one sentence and exit code 1.

    Where `stack` is false, nobody is asked for the names of its resources: the command has no use for them.
    AWS's clients read the environment, so until the end of the block the process has the one that the options describe.
    """
    connection: Connection = context.obj
    try:
        with _process_environment(connection.environment(os.environ)) as environment:
            nothing = Settings(table_name="", outbox_queue_url="", stack_name=connection.stack)
            yield AdminCommand(connection.settings(environment) if stack else nothing)
    except (CannotConnect, CannotStage, GatewayError, BotoCoreError, ClientError, WireError) as error:
        sentence = explain(error)
        if sentence is None:
            raise
        typer.echo(sentence, err=True)
        raise typer.Exit(1) from None


async def _do(work: Callable[[AdminCommand], Awaitable[Result]], gateway: AdminCommand) -> Result:
    return await work(gateway)


@contextmanager
def _process_environment(environment: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    before = dict(os.environ)
    _replace_environment(environment)
    try:
        yield environment
    finally:
        _replace_environment(before)


def _replace_environment(environment: Mapping[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
