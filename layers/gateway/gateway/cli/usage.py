"""`studiolm-admin usage`: what an account used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from gateway.bootstrap.admin import AdminCommand
from gateway.cli.accounts import AccountId, AsJson
from gateway.cli.connection import run
from gateway.cli.rendering import Cell, print_json, print_table

_PERIODS = ("today", "week", "month")
_GROUPS = (("key", "keys"), ("model", "models"), ("endpoint", "endpoints"))
_MEASURES = ("requests", "errors", "prompt_tokens", "completion_tokens", "total_tokens", "cost")


def show(context: typer.Context, account_id: AccountId, *, as_json: AsJson = False) -> None:
    """Show what an account used today, this week and this month (UTC): in all, by key, model and endpoint."""

    async def report(gateway: AdminCommand) -> dict[str, Any]:
        return await gateway.report.of(await gateway.administration.find(account_id))

    used = run(context, report)
    if as_json:
        print_json(used)
        return
    print_table(
        ("period", "by", "value", "requests", "errors", "prompt", "completion", "total", "cost usd", "billed usd"),
        [row for period in _PERIODS for row in _rows(period, used[period])],
    )


def _rows(period: str, used: Mapping[str, Any]) -> Iterator[tuple[Cell, ...]]:
    yield period, "all", None, *_measures(used), used["billed"]
    for by, group in _GROUPS:
        for value, totals in used[group].items():
            yield period, by, value, *_measures(totals), None


def _measures(totals: Mapping[str, Any]) -> tuple[Cell, ...]:
    return tuple(totals[measure] for measure in _MEASURES)
