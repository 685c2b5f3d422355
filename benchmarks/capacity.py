"""What a load needs and costs: pure arithmetic over `prices.toml`; docs/capacity.md has the formulas in words."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from gateway.domain.line import Line

from benchmarks.erlang import longer_share, servers_for, waiting_share

DAY_S = 86_400
LINE_WRITES = "write units a second of the model's item"
LINE_BYTES = "bytes of the model's item"
PRICES = Path(__file__).parent / "prices.toml"

WAITING_SHARE = 0.05
"""The promise of a plan: at most so many of its requests find no slot free and stand in line."""
REFUSED_SHARE = 0.001
"""And at most so many stand there for longer than a request may."""

ACCOUNT_WRITES = 1
"""Write units of an admission: an account's item with a few open requests is under 1 KB (measured, costs.py)."""
ACCOUNT_BASE_BYTES = 320
ACCOUNT_OPEN_BYTES = 78
"""What one more open request adds to its account's item (measured, costs.py)."""
LINE_OPEN_BYTES = 52
"""What one more open request adds to its model's item."""
LINE_BASE_BYTES = 100
LINE_WAITER_BYTES = 90
"""What one more waiter adds to it, of an account that had a turn of late."""
FULL_LINE_WRITES = 5.4
"""Writes of a model's item for each answer served while its line is full (docs/line.md, measured)."""
WAITING_PER_SLOT = 4
ITEM_BYTES = 400 * 1024
"""DynamoDB's largest item: a model's line is one item, however many slots it has."""
SETTLE_WRITES = 6
"""Write units of a settlement: account, record and day at 1 KB each, twice in a transaction."""
BYTES_A_TOKEN = 5
"""Of a prompt in JSON: four letters a token, and what escapes them."""


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
    waiting_share: float
    """Of the requests that find no slot free, as planned."""
    refused_share: float
    """Of those whose wait is over the limit."""
    instances: int
    writes_per_s: float
    lambda_concurrency: int
    usd_per_day: Mapping[str, float]
    limits: tuple[Limit, ...]
    """At this load."""
    when_full: tuple[Limit, ...]
    """When more comes than the slots can serve, and the line is full."""

    @property
    def usd_per_million_tokens(self) -> float:
        """All costs over all tokens, prompt and answer."""
        tokens = self.load.requests_per_s * (self.load.prompt_tokens + self.load.answer_tokens) * DAY_S
        return sum(self.usd_per_day.values()) / tokens * 1e6

    @property
    def first_limit(self) -> Limit:
        """The limit that the load comes nearest to, or is furthest past."""
        return max(self.limits, key=lambda limit: limit.share)

    @property
    def fits_one_line(self) -> bool:
        """Whether the model's item can take the load: what no quota raises."""
        return all(limit.share <= 1 for limit in self.limits if limit.name in (LINE_WRITES, LINE_BYTES))


def read_prices(path: Path = PRICES) -> dict[str, Any]:
    """The prices and limits of the data file."""
    return tomllib.loads(path.read_text("utf-8"))


def service_s(load: Load, model: Mapping[str, Any]) -> float:
    """Seconds of a request in its slot while all are taken: reading its prompt, then its share of the decoding."""
    return float(
        load.prompt_tokens / model["prompt_tokens_per_s"] + load.answer_tokens * model["slots"] / model["tokens_per_s"]
    )


def slots_for(open_requests: float, *, held_s: float, wait_s: float) -> int:
    """The fewest slots that keep the promise, for so many open requests on average."""
    return servers_for(open_requests, service_s=held_s, wait_s=wait_s, waiting=WAITING_SHARE, longer=REFUSED_SHARE)


def line_bytes(slots: int, *, waiting: int = 0) -> int:
    """Bytes of a model's item with all slots taken and so many in line."""
    return LINE_BASE_BYTES + LINE_OPEN_BYTES * slots + LINE_WAITER_BYTES * waiting


def full_line(slots: int, *, held_s: float, wait_s: float) -> int:
    """How many wait before so many slots at most, by the rule of the real line."""
    line = Line(model="", status="ready", copies=1, slots=slots, service_s=held_s, open={}, waiting={})
    return line.places(wait_s=wait_s, per_slot=WAITING_PER_SLOT)


def write_units(size_bytes: float) -> int:
    """Write units of one update of an item: DynamoDB charges the whole item by the KB."""
    return max(1, ceil(size_bytes / 1024))


def account_writes_per_s(load: Load, held_s: float, most: Mapping[str, Any]) -> float:
    """Write units a second of one account's item; it asks for all it may, or for the whole load if that is less."""
    open_ = min(most["max_open_requests"], load.requests_per_s * held_s)
    requests_per_s = min(load.requests_per_s, most["requests_per_minute"] / 60, open_ / held_s)
    return requests_per_s * 3 * write_units(ACCOUNT_BASE_BYTES + ACCOUNT_OPEN_BYTES * open_)


def plan(load: Load, prices: Mapping[str, Any]) -> Plan:
    """What the load needs. Raises KeyError for a model that the prices do not have."""
    model, dynamodb, lambda_, api, stack = (
        prices["models"][load.model],
        prices["dynamodb"],
        prices["lambda"],
        prices["api_gateway"],
        prices["stack"],
    )
    held_s, wait_s = service_s(load, model), stack["line_wait_s"]
    open_requests = load.requests_per_s * held_s
    slots = slots_for(open_requests, held_s=held_s, wait_s=wait_s)
    waiting = waiting_share(slots, open_requests)
    instances = ceil(slots / model["slots"])
    # who waits writes twice more: it joins the line, and takes its turn where the others took a slot at once. As many
    # are reckoned as may wait: the share itself falls with each slot that a larger load brings
    line_writes = (2 + 2 * WAITING_SHARE) * write_units(line_bytes(slots))
    writes_per_s = load.requests_per_s * (ACCOUNT_WRITES + line_writes + SETTLE_WRITES)
    requests_per_day = load.requests_per_s * DAY_S
    usd = {
        "GPU instances": instances * model["usd_per_hour"] * 24,
        "DynamoDB": writes_per_s * DAY_S * dynamodb["usd_per_million_writes"] / 1e6,
        "Lambda": requests_per_day
        * (held_s * lambda_["memory_gb"] * lambda_["usd_per_gb_s"] + lambda_["usd_per_million_requests"] / 1e6),
        "API Gateway": requests_per_day * api["usd_per_million_requests"] / 1e6,
    }
    item_writes = dynamodb["writes_per_s_of_an_item"]
    limits = (
        Limit("SageMaker instances", instances, prices["sagemaker"]["instances"]),
        Limit("Lambda concurrency", slots, lambda_["concurrency"]),
        Limit(
            "new Lambda environments in 10 s, all at once",
            min(slots, load.requests_per_s * 10),
            lambda_["new_environments_in_10_s"],
        ),
        Limit("API Gateway requests a second", load.requests_per_s, api["requests_per_s"]),
        Limit("requests a second that the stack admits", load.requests_per_s, stack["requests_per_s"]),
        Limit("write units a second of a new table", writes_per_s, dynamodb["writes_per_s_of_a_new_table"]),
        Limit("write units a second of the table", writes_per_s, dynamodb["writes_per_s_of_a_table"]),
        Limit(LINE_WRITES, load.requests_per_s * line_writes, item_writes),
        Limit(LINE_BYTES, line_bytes(slots), ITEM_BYTES),
        Limit(
            "write units a second of one account's item",
            account_writes_per_s(load, held_s, prices["plan"]),
            item_writes,
        ),
        Limit("seconds of an answer", held_s, stack["request_timeout_s"]),
        Limit("bytes of a request", load.prompt_tokens * BYTES_A_TOKEN, stack["max_body_bytes"]),
    )
    most_waiting = full_line(slots, held_s=held_s, wait_s=wait_s)
    full_bytes = line_bytes(slots, waiting=most_waiting)
    full_writes_per_s = slots / held_s * FULL_LINE_WRITES * write_units(full_bytes)
    when_full = (
        Limit("Lambda concurrency", slots + most_waiting, lambda_["concurrency"]),
        Limit(LINE_WRITES, full_writes_per_s, item_writes),
        Limit(LINE_BYTES, full_bytes, ITEM_BYTES),
    )
    return Plan(
        load=load,
        service_s=held_s,
        open_requests=open_requests,
        slots=slots,
        waiting_share=waiting,
        refused_share=longer_share(slots, open_requests, service_s=held_s, wait_s=wait_s),
        instances=instances,
        writes_per_s=writes_per_s,
        lambda_concurrency=slots,
        usd_per_day=usd,
        limits=limits,
        when_full=when_full,
    )
