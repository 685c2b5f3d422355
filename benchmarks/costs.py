"""What a request costs on AWS, reckoned from the items that a real one leaves and the seconds that it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import ceil
from typing import Any

from benchmarks.capacity import read_prices
from benchmarks.client import Line, Target
from benchmarks.table import Table

_MAP_BYTES = 3
_ENTRY_BYTES = 1
STREAM_S = 8.7
"""300 tokens of gemma-3-12b on a full L4 (prices.toml): 13 slots share 446 tokens a second."""


def item_bytes(item: Mapping[str, Any]) -> int:
    """An item's size by DynamoDB's rules: UTF-8 names, and values by their kind."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(str(content).encode())
    if kind == "N":
        digits = str(content).lstrip("-").replace(".", "").strip("0")
        return ceil(len(digits) / 2) + 1 + str(content).startswith("-")
    if kind == "M":
        entries = sum(len(name.encode()) + _value_bytes(inner) + _ENTRY_BYTES for name, inner in content.items())
        return _MAP_BYTES + entries
    if kind == "L":
        return _MAP_BYTES + sum(_value_bytes(inner) + _ENTRY_BYTES for inner in content)
    if kind == "SS":
        return sum(len(text.encode()) for text in content)
    return 1


def write_units(size_bytes: int) -> int:
    """Write request units of a plain write."""
    return max(1, ceil(size_bytes / 1024))


def measure_costs(target: Target, table: Table) -> dict[str, Any]:
    """Sizes of the items in the middle of one streamed request and after it, their write units, and USD."""
    request = target.request(frames=4, stream=True, pause_ms=500)

    async def look_inside() -> list[dict[str, Any]]:
        line = Line(target.port)
        await line.connect()
        asking = asyncio.create_task(line.ask(request, stream=True))
        await asyncio.sleep(1.2)
        inside = await asyncio.to_thread(table.items)
        await asking
        line.close()
        return inside

    inside = _sizes(asyncio.run(look_inside()))
    after = _sizes(table.items())
    units = {
        "admit": write_units(inside["account"]),
        "take a slot": write_units(inside["model"]),
        "give it back": write_units(inside["model"]),
        "settle": 2 * sum(write_units(size) for size in (inside["account"], after["record"], after["day"])),
    }
    prices = read_prices()
    lambda_ = prices["lambda"]
    gb_s = STREAM_S * lambda_["memory_gb"] * 1000
    return {
        "bytes": {**after, "account": inside["account"], "model": inside["model"]},
        "write_units": units,
        "write_units_a_request": sum(units.values()),
        "dynamodb_usd_per_1000": sum(units.values()) * 1000 * prices["dynamodb"]["usd_per_million_writes"] / 1e6,
        "lambda_gb_s_per_1000_streams": gb_s,
        "lambda_usd_per_1000_streams": gb_s * lambda_["usd_per_gb_s"] + lambda_["usd_per_million_requests"] / 1e3,
    }


def _sizes(items: list[dict[str, Any]]) -> dict[str, int]:
    kinds = {"ACCOUNT": "account", "MODEL": "model", "USAGE": "record", "DAY": "day"}
    sizes: dict[str, int] = {}
    for item in items:
        kind = kinds.get(item["sk"]["S"].partition("#")[0])
        if kind is not None:
            sizes[kind] = max(sizes.get(kind, 0), item_bytes(item))
    return sizes
