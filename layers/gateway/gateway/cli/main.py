"""`studiolm-admin`: accounts, keys and usage of a deployment, for the person who runs it."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import accounts, catalogue, dead_letters, keys, usage, weights
from gateway.cli.connection import Connection

DEFAULT_STACK = "studiolm"
DEFAULT_PORT = 8000

app = typer.Typer(
    name="studiolm-admin",
    help="Accounts, keys and usage of a StudioLM deployment.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
app.command("usage")(usage.show)
app.add_typer(catalogue.plans, name="plans")
catalogue.models.command("stage")(weights.stage)
app.add_typer(catalogue.models, name="models")
app.add_typer(dead_letters.app, name="dlq")


@app.callback()
def connect(
    context: typer.Context,
    *,
    local: Annotated[bool, typer.Option("--local", help="Work on the local stack that runs on this machine.")] = False,
    port: Annotated[
        int | None, typer.Option(help=f"With --local: the port of that stack [default: {DEFAULT_PORT}].")
    ] = None,
    stack: Annotated[
        str | None, typer.Option(help=f"CloudFormation stack that names the table [default: {DEFAULT_STACK}].")
    ] = None,
    table: Annotated[str | None, typer.Option(help="DynamoDB table, where no stack is to be asked.")] = None,
    region: Annotated[str | None, typer.Option(help="AWS region.")] = None,
    profile: Annotated[str | None, typer.Option(help="AWS profile.")] = None,
) -> None:
    """Accounts, keys and usage of a StudioLM deployment."""
    if local and not stack is table is region is profile is None:
        raise typer.BadParameter("--local stands alone: it knows its own table, region and credentials.")
    if port is not None and not local:
        raise typer.BadParameter("--port goes with --local.")
    context.obj = Connection(
        local_port=(DEFAULT_PORT if port is None else port) if local else None,
        stack=stack or DEFAULT_STACK,
        table=table,
        region=region,
        profile=profile,
    )


def run() -> None:
    """The console script."""
    app()
