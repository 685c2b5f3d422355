"""`studiolm-admin keys`: an account's keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, get_args

import typer

from gateway.bootstrap.admin import AdminCommand
from gateway.cli.accounts import AccountId, AsJson, print_secret
from gateway.cli.connection import run
from gateway.cli.rendering import print_json, print_table, utc
from gateway.domain.admission import KeyRecord, Scope

app = typer.Typer(help="An account's keys.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")]


@app.command("create")
def create(
    context: typer.Context,
    account_id: AccountId,
    *,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="chat|admin", help="What it may do; give it twice for both [default: chat]."),
    ] = None,
    replaces: Annotated[
        str | None, typer.Option(metavar="KEY", help="The key whose place it takes, where the plan has no room.")
    ] = None,
) -> None:
    """Make a key and print its id and its text, which is shown this once."""
    scopes = read_scopes(scope or ["chat"])

    async def make(gateway: AdminCommand) -> tuple[KeyRecord, str]:
        account = await gateway.administration.find(account_id)
        return await gateway.keyring.create(account, name=name, scopes=scopes, replaces=replaces)

    record, text = run(context, make)
    print(f"KEY_ID={record.id}")
    print_secret(text)


@app.command("list")
def list_all(context: typer.Context, account_id: AccountId, *, as_json: AsJson = False) -> None:
    """List an account's keys, without their secrets."""
    account = run(context, lambda gateway: gateway.administration.find(account_id))
    keys = sorted(account.keys.values(), key=lambda key: (key.created_s, key.id))
    if as_json:
        print_json([_describe(key) for key in keys])
        return
    print_table(
        ("id", "name", "enabled", "scopes", "created"),
        [(key.id, key.name, key.enabled, ",".join(sorted(key.scopes)), utc(key.created_s)) for key in keys],
    )


@app.command("disable")
def disable(context: typer.Context, account_id: AccountId, key_id: KeyId) -> None:
    """Refuse a key from the next request on."""
    _switch(context, account_id, key_id, enabled=False)
    print(f"{key_id} is disabled.")


@app.command("enable")
def enable(context: typer.Context, account_id: AccountId, key_id: KeyId) -> None:
    """Accept a disabled key again."""
    _switch(context, account_id, key_id, enabled=True)
    print(f"{key_id} is enabled.")


@app.command("delete")
def delete(context: typer.Context, account_id: AccountId, key_id: KeyId) -> None:
    """Remove a key for good; its usage history stays."""

    async def remove(gateway: AdminCommand) -> None:
        await gateway.keyring.delete(await gateway.administration.find(account_id), key_id)

    run(context, remove)
    print(f"{key_id} is deleted.")


def read_scopes(names: Sequence[str]) -> frozenset[Scope]:
    """Scopes as they are typed. Raises typer.BadParameter."""
    known: tuple[Scope, ...] = get_args(Scope)
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"{name!r} is no scope; there are: {', '.join(known)}.")
    return frozenset(scope for scope in known if scope in names)


def _switch(context: typer.Context, account_id: str, key_id: str, *, enabled: bool) -> None:
    async def switch(gateway: AdminCommand) -> None:
        await gateway.keyring.set_enabled(await gateway.administration.find(account_id), key_id, enabled=enabled)

    run(context, switch)


def _describe(key: KeyRecord) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "enabled": key.enabled,
        "scopes": sorted(key.scopes),
        "created": key.created_s,
    }
