"""`studiolm-admin plans` and `studiolm-admin models`: the catalogue, and how its models are served now."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import typer

from gateway.bootstrap.admin import AdminCommand
from gateway.catalogue import load_catalogue
from gateway.cli.accounts import AsJson
from gateway.cli.connection import run
from gateway.cli.rendering import print_json, print_table
from gateway.domain.line import Line
from gateway.domain.models import Model

plans = typer.Typer(help="The plans.", no_args_is_help=True)
models = typer.Typer(help="The models.", no_args_is_help=True)


@plans.callback()
@models.callback()
def group() -> None:
    """A callback keeps a group with one command a group."""


@plans.command("list")
def list_plans(*, as_json: AsJson = False) -> None:
    """List the plans and their limits. Needs no connection."""
    catalogue = load_catalogue().plans.values()
    if as_json:
        print_json([_priced(asdict(plan)) for plan in catalogue])
        return
    print_table(
        ("id", "keys", "tokens a day", "past it, usd per million", "open requests", "requests a minute"),
        [
            (
                plan.id,
                plan.max_keys,
                plan.daily_tokens,
                plan.overage_usd_per_million or "refused",
                plan.max_open_requests,
                plan.requests_per_minute,
            )
            for plan in catalogue
        ],
    )


@models.command("list")
def list_models(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the models of the catalogue with their prices, copies and lines as they are now."""
    served = run(context, _look)
    if as_json:
        print_json([_describe(model, line) for model, line in served])
        return
    print_table(
        (
            "id",
            "status",
            "copies",
            "slots",
            "held",
            "waiting",
            "context",
            "prompt usd/million",
            "completion usd/million",
        ),
        [
            (
                model.id,
                line.status,
                line.copies,
                line.slots,
                len(line.open),
                len(line.waiting),
                model.context_tokens,
                model.prompt_usd_per_million,
                model.completion_usd_per_million,
            )
            for model, line in served
        ],
    )


async def _look(gateway: AdminCommand) -> list[tuple[Model, Line]]:
    catalogue = list(gateway.catalogue.models.values())
    lines = await asyncio.gather(*(gateway.lines.look(model.id) for model in catalogue))
    return list(zip(catalogue, lines, strict=True))


def _describe(model: Model, line: Line) -> dict[str, Any]:
    return {
        "id": model.id,
        "status": line.status,
        "copies": line.copies,
        "slots": line.slots,
        "held": len(line.open),
        "waiting": len(line.waiting),
        "context_tokens": model.context_tokens,
        "max_completion_tokens": model.max_completion_tokens,
        "prompt_usd_per_million": float(model.prompt_usd_per_million),
        "completion_usd_per_million": float(model.completion_usd_per_million),
    }


def _priced(plan: dict[str, Any]) -> dict[str, Any]:
    price = plan["overage_usd_per_million"]
    return plan | {"overage_usd_per_million": None if price is None else float(price)}
