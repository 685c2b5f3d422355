"""What a load needs and costs: pure arithmetic over `prices.toml`; docs/capacity.md has the formulas in words."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Any

DAY_S = 86_400
PRICES = Path(__file__).parent / "prices.toml"

ACCOUNT_WRITES = 1
"""Write units of an admission: an account's item with a few open requests is under 1 KB (measured, costs.py)."""
LINE_OPEN_BYTES = 52
"""What one more open request adds to its model's item."""
LINE_BASE_BYTES = 100
ITEM_BYTES = 400_000
"""DynamoDB's largest item, 400 KB: a model's line is one item, however many slots it has."""
SETTLE_WRITES = 6
"""Write units of a settlement: account, record and day at 1 KB each, twice in a transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Requests a second in the busiest hour, and what one is, in tokens."""

    requests_per_s: float
    prompt_tokens: int
    answer_tokens: int
    model: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, and how much of it a load takes."""

    name: str
    needed: float
    allowed: float

    @property
    def share(self) -> float:
        return self.needed / self.allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a load needs, and its cost in USD a day were it that heavy all day."""

    load: Load
    service_s: float
    open_requests: float
    slots: int
    instances: int
    writes_per_s: float
    lambda_concurrency: int
    usd_per_day: Mapping[str, float]
    limits: tuple[Limit, ...]

    @property
    def usd_per_million_tokens(self) -> float:
        """All costs over all tokens, prompt and answer."""
        tokens = self.load.requests_per_s * (self.load.prompt_tokens + self.load.answer_tokens) * DAY_S
        return sum(self.usd_per_day.values()) / tokens * 1e6

    @property
    def first_limit(self) -> Limit:
        """The limit that the load comes nearest to, or is furthest past."""
        return max(self.limits, key=lambda limit: limit.share)


def read_prices(path: Path = PRICES) -> dict[str, Any]:
    """The prices and limits of the data file."""
    return tomllib.loads(path.read_text("utf-8"))


def service_s(load: Load, model: Mapping[str, Any]) -> float:
    """Seconds of a request in its slot while all are taken: reading its prompt, then its share of the decoding."""
    return float(
        load.prompt_tokens / model["prompt_tokens_per_s"] + load.answer_tokens * model["slots"] / model["tokens_per_s"]
    )


def slots_for(open_requests: float) -> int:
    """Slots for so many open requests on average: their mean and two standard deviations of a Poisson crowd.

    Then about one request in thirty finds none free (Erlang C), and stands in line.
    """
    return max(1, ceil(open_requests + 2 * sqrt(open_requests)))


def line_bytes(slots: int) -> int:
    """Bytes of a model's item with all slots taken and nobody in line."""
    return LINE_BASE_BYTES + LINE_OPEN_BYTES * slots


def line_write_units(slots: int) -> int:
    """Write units of one update of a model's item with all slots taken: DynamoDB charges the whole item by the KB."""
    return ceil(line_bytes(slots) / 1024)


def plan(load: Load, prices: Mapping[str, Any]) -> Plan:
    """What the load needs. Raises KeyError for a model that the prices do not have."""
    model, dynamodb, lambda_, api = (
        prices["models"][load.model],
        prices["dynamodb"],
        prices["lambda"],
        prices["api_gateway"],
    )
    held_s = service_s(load, model)
    open_requests = load.requests_per_s * held_s
    slots = slots_for(open_requests)
    instances = ceil(slots / model["slots"])
    line_writes = 2 * line_write_units(slots)
    a_request = ACCOUNT_WRITES + line_writes + SETTLE_WRITES
    writes_per_s = load.requests_per_s * a_request
    requests_per_day = load.requests_per_s * DAY_S
    usd = {
        "GPU instances": instances * model["usd_per_hour"] * 24,
        "DynamoDB": writes_per_s * DAY_S * dynamodb["usd_per_million_writes"] / 1e6,
        "Lambda": requests_per_day
        * (held_s * lambda_["memory_gb"] * lambda_["usd_per_gb_s"] + lambda_["usd_per_million_requests"] / 1e6),
        "API Gateway": requests_per_day * api["usd_per_million_requests"] / 1e6,
    }
    limits = (
        Limit("SageMaker instances", instances, prices["sagemaker"]["instances"]),
        Limit("Lambda concurrency", slots, lambda_["concurrency"]),
        Limit("API Gateway requests a second", load.requests_per_s, api["requests_per_s"]),
        Limit("write units a second of the table", writes_per_s, dynamodb["writes_per_s_of_a_table"]),
        Limit(
            "write units a second of the model's item",
            load.requests_per_s * line_writes,
            dynamodb["writes_per_s_of_an_item"],
        ),
        Limit("bytes of the model's item", line_bytes(slots), ITEM_BYTES),
    )
    return Plan(
        load=load,
        service_s=held_s,
        open_requests=open_requests,
        slots=slots,
        instances=instances,
        writes_per_s=writes_per_s,
        lambda_concurrency=slots,
        usd_per_day=usd,
        limits=limits,
    )
