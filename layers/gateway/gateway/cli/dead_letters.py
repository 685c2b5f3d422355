"""`studiolm-admin dlq`: what nobody could handle, and the way back."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gateway.adapters.aws.dead_letters import Redriven
from gateway.bootstrap.admin import AdminCommand
from gateway.cli.accounts import AsJson
from gateway.cli.connection import run
from gateway.cli.rendering import print_json, print_table

app = typer.Typer(help="The dead-letter queues.", no_args_is_help=True)


@app.command("list")
def list_all(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the dead-letter queues with how many messages they hold and where these came from."""
    queues = run(context, lambda gateway: gateway.dead_letters.all())
    rows = [(queue.name, queue.messages, [url.rpartition("/")[2] for url in queue.sources]) for queue in queues]
    if as_json:
        print_json([{"name": name, "messages": messages, "sources": sources} for name, messages, sources in rows])
        return
    print_table(
        ("name", "messages", "from"), [(name, messages, ", ".join(sources)) for name, messages, sources in rows]
    )


@app.command("redrive")
def redrive(
    context: typer.Context, name: Annotated[str, typer.Argument(metavar="QUEUE", help="The dead-letter queue's name.")]
) -> None:
    """Send the messages of a dead-letter queue back to where they came from. Mend the cause first."""

    async def send_back(gateway: AdminCommand) -> Redriven:
        return await gateway.dead_letters.redrive(await gateway.dead_letters.find(name))

    done = run(context, send_back)
    print(f"MOVED={done.moved}", f"LEFT={done.left}", sep="\n")
    if done.left:
        print("What is left was in no queue before: it is an event that a function could not handle.", file=sys.stderr)
