"""The catalogue: models, prices and plans as data beside the code.

TOML, because the standard library reads it: no parser is imported on a cold start for a few hundred bytes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any

from gateway.domain.models import DIALECTS, Model
from gateway.domain.plans import Plan

_DEPLOYED = re.compile(r"(?P<id>[^=]+)=(?P<engine>[^/]+)/(?P<slots>[1-9]\d*)/(?P<context>[1-9]\d*)")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All models and plans by id, and the prices of search."""

    models: Mapping[str, Model]
    plans: Mapping[str, Plan]
    search_prices_usd: Mapping[str, Decimal]
    """What one request to a search back end costs."""

    def as_deployed(self, entries: str) -> Catalogue:
        """This catalogue with engine, slots of a copy and context as a stack deploys them: `id=engine/slots/context`,
        separated by commas. Raises ValueError for what is none of this, and for a model that is not here."""
        models = dict(self.models)
        for entry in filter(None, entries.split(",")):
            match = _DEPLOYED.fullmatch(entry)
            if match is None or match["id"] not in models or match["engine"] not in DIALECTS:
                raise ValueError(f"{entry!r} describes no deployed model")
            models[match["id"]] = replace(
                models[match["id"]],
                dialect=match["engine"],
                slots_per_copy=int(match["slots"]),
                context_tokens=int(match["context"]),
            )
        return replace(self, models=models)


@lru_cache(maxsize=1)
def load_catalogue() -> Catalogue:
    """The catalogue that ships with this package, read once. Raises ValueError for a file whose name is not its id."""
    root = files(__package__)
    models = {}
    for file in sorted(root.joinpath("models").iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".toml"):
            continue
        model = Model(**_with_decimals(tomllib.loads(file.read_text("utf-8"))))
        if file.name != f"{model.id}.toml":
            raise ValueError(f"catalogue file {file.name} describes {model.id}")
        models[model.id] = model
    plans = tomllib.loads(root.joinpath("plans.toml").read_text("utf-8"))
    prices = tomllib.loads(root.joinpath("search.toml").read_text("utf-8"))
    return Catalogue(
        models,
        {id_: Plan(**_plan_fields(id_, plan)) for id_, plan in plans.items()},
        {name: Decimal(price) for name, price in prices.items()},
    )


def _with_decimals(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: Decimal(value) if "_usd_" in key else value for key, value in fields.items()}


def _plan_fields(id_: str, plan: dict[str, Any]) -> dict[str, Any]:
    return {"id": id_, "overage_usd_per_million": None} | _with_decimals(plan)
