"""`studiolm-admin accounts`: open, look at and change accounts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.bootstrap.admin import AdminCommand
from gateway.cli.connection import run
from gateway.cli.rendering import print_fields, print_json, print_table, utc
from gateway.domain.admission import Account

app = typer.Typer(help="Open, look at and change accounts.", no_args_is_help=True)

AccountId = Annotated[str, typer.Argument(metavar="ID", help="The account's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def read_cap(text: str) -> int | None:
    """A hard cap as it is typed: tokens a day, or `none`. Raises typer.BadParameter."""
    if text == "none":
        return None
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise typer.BadParameter(f"{text!r} is neither a number of tokens above 0 nor 'none'.")
    return int(text)


@app.command("create")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose account it is.")],
    *,
    plan: Annotated[str, typer.Option(help="The plan (see: plans list).")],
    cap: Annotated[int | None, typer.Option(min=1, metavar="TOKENS", help="The most tokens a day.")] = None,
) -> None:
    """Open an account and print its id and its first key, which is shown this once."""
    account, key = run(context, lambda gateway: gateway.administration.open(name=name, plan=plan, hard_cap_tokens=cap))
    print(f"ACCOUNT_ID={account.id}")
    print_secret(key)


@app.command("list")
def list_all(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List all accounts."""
    accounts = sorted(run(context, _read_all), key=lambda account: (account.created_s, account.id))
    if as_json:
        print_json([describe(account) for account in accounts])
        return
    print_table(
        ("id", "name", "plan", "active", "cap", "tokens today", "open", "keys", "created"),
        [
            (
                account.id,
                account.name,
                account.plan,
                account.active,
                account.hard_cap_tokens,
                account.tokens_today,
                len(account.open),
                len(account.keys),
                utc(account.created_s),
            )
            for account in accounts
        ],
    )


@app.command("show")
def show(context: typer.Context, account_id: AccountId, *, as_json: AsJson = False) -> None:
    """Show an account with its limits and what it has used of them."""
    described = describe(run(context, lambda gateway: gateway.administration.find(account_id)))
    if as_json:
        print_json(described)
    else:
        print_fields(described | {"created": utc(described["created"])})


@app.command("suspend")
def suspend(context: typer.Context, account_id: AccountId) -> None:
    """Refuse an account's requests from the next one on."""
    run(context, lambda gateway: gateway.administration.set_active(account_id, active=False))
    print(f"{account_id} is suspended.")


@app.command("resume")
def resume(context: typer.Context, account_id: AccountId) -> None:
    """Serve a suspended account again."""
    run(context, lambda gateway: gateway.administration.set_active(account_id, active=True))
    print(f"{account_id} is active.")


@app.command("set-plan")
def set_plan(
    context: typer.Context,
    account_id: AccountId,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The plan (see: plans list).")],
) -> None:
    """Move an account to another plan; its cap stays."""
    run(context, lambda gateway: gateway.administration.set_plan(account_id, plan=plan))
    print(f"{account_id} is on the plan {plan}.")


@app.command("set-cap")
def set_cap(
    context: typer.Context,
    account_id: AccountId,
    cap: Annotated[str, typer.Argument(metavar="TOKENS|none", help="The most tokens a day, or none.")],
) -> None:
    """Set the most tokens that an account may use in a day, or take that cap away."""
    tokens = read_cap(cap)
    run(context, lambda gateway: gateway.administration.set_cap(account_id, hard_cap_tokens=tokens))
    print(f"{account_id} has no cap." if tokens is None else f"{account_id} is capped at {tokens} tokens a day.")


def describe(account: Account) -> dict[str, Any]:
    """An account as the command shows it: nothing of its keys but their number."""
    return {
        "id": account.id,
        "name": account.name,
        "plan": account.plan,
        "active": account.active,
        "created": account.created_s,
        "cap_tokens": account.hard_cap_tokens,
        "included_tokens_per_day": account.limits.included_tokens,
        "daily_tokens": account.limits.daily_tokens,
        "requests_per_minute": account.limits.requests_per_minute,
        "max_open_requests": account.limits.max_open_requests,
        "tokens_today": account.tokens_today,
        "reserved_tokens": account.reserved_tokens,
        "open_requests": len(account.open),
        "keys": len(account.keys),
    }


def print_secret(key: str) -> None:
    """The one time that a key is shown: alone on its line, so that a script can read it."""
    print(f"API_KEY={key}")
    typer.echo("The key is shown this once; store it now.", err=True)


async def _read_all(gateway: AdminCommand) -> list[Account]:
    return [account async for account in gateway.administration.all()]
