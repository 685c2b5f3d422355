"""`make plan-capacity RPS=… PROMPT=… ANSWER=… MODEL=…`: what a load needs; `--write` fills in docs/capacity.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from benchmarks.capacity import Limit, Load, Plan, plan, read_prices
from benchmarks.pages import with_figures
from benchmarks.plots import curves
from benchmarks.processes import ROOT

PAGE = ROOT / "docs" / "capacity.md"
CURVE = ROOT / "docs" / "images" / "bench-cost.svg"
EXAMPLE = Load(requests_per_s=1, prompt_tokens=500, answer_tokens=300, model="gemma-3-12b-it-qat")
"""The load of the page's table, and of its curve."""
_MOST = 1e6
_RATES = (1, 10, 30, 100, 1000, 10_000)

_CURVE = [round(10 ** (step / 12), 3) for step in range(49)]
"""1 to 10,000 requests a second, twelve to a decade."""


def main() -> int:
    """Prints the plan; 1 for a model that has no prices."""
    parser = argparse.ArgumentParser(description="Instances, slots, units and dollars for a load.")
    parser.add_argument("--rps", type=float, default=10)
    parser.add_argument("--prompt", type=int, default=500)
    parser.add_argument("--answer", type=int, default=300)
    parser.add_argument("--model", default="gemma-3-12b-it-qat")
    parser.add_argument("--write", action="store_true", help="the table and the cost curve of docs/capacity.md instead")
    asked = parser.parse_args()
    prices = read_prices()
    if asked.write:
        page = with_figures(PAGE.read_text("utf-8"), "plans", plans_table(prices))
        PAGE.write_text(with_figures(page, "limits", limits_table(prices)), "utf-8")
        CURVE.write_text(cost_curve(prices), "utf-8")
        return 0
    if asked.model not in prices["models"]:
        print(f"No prices for {asked.model}; there are: {', '.join(prices['models'])}.", file=sys.stderr)
        return 1
    if asked.rps <= 0 or asked.prompt < 0 or asked.answer < 1:
        print("RPS and ANSWER must be above 0, PROMPT not below.", file=sys.stderr)
        return 1
    load = Load(requests_per_s=asked.rps, prompt_tokens=asked.prompt, answer_tokens=asked.answer, model=asked.model)
    print("\n".join(_lines(plan(load, prices), prices["models"][asked.model])))
    return 0


def plans_table(prices: Mapping[str, Any]) -> str:
    """What 1 to 10,000 requests a second of the example need."""
    rows = [
        "| requests/s | slots | instances | write units/s | USD a day | USD per million tokens | the nearest limit |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for requests_per_s in _RATES:
        found = plan(replace(EXAMPLE, requests_per_s=requests_per_s), prices)
        cells = (
            f"{requests_per_s:,}",
            f"{found.slots:,}",
            f"{found.instances:,}",
            f"{found.writes_per_s:,.0f}",
            f"{sum(found.usd_per_day.values()):,.0f}",
            f"{found.usd_per_million_tokens:.2f}",
            f"{found.first_limit.name}, {found.first_limit.share:,.0%}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def limits_table(prices: Mapping[str, Any]) -> str:
    """At which requests a second of the example each limit is passed, soonest first."""
    found = plan(EXAMPLE, prices)
    bites = [("", limit, _bites_at(limit.name, lambda plan: plan.limits, prices)) for limit in found.limits]
    bites += [
        (", the line full", limit, _bites_at(limit.name, lambda plan: plan.when_full, prices))
        for limit in found.when_full
    ]
    rows = ["| limit | of | passed at requests/s |", "| --- | ---: | ---: |"]
    for when, limit, at in sorted(bites, key=lambda bite: bite[2]):
        told = f"{at:,.3g}" if at < 1000 else f"{at:,.0f}"
        rows.append(f"| {limit.name}{when} | {limit.allowed:,} | {told if at < _MOST else 'never by the load alone'} |")
    return "\n".join(rows)


def _bites_at(name: str, limits: Callable[[Plan], tuple[Limit, ...]], prices: Mapping[str, Any]) -> float:
    """The requests a second past which a plan is over the limit of this name; `_MOST` where that is never."""

    def fits(requests_per_s: float) -> bool:
        found = limits(plan(replace(EXAMPLE, requests_per_s=requests_per_s), prices))
        return all(limit.share <= 1 for limit in found if limit.name == name)

    low, high = 0.01, _MOST
    if fits(high):
        return high
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _lines(found: Plan, model: dict[str, object]) -> list[str]:
    load, first = found.load, found.first_limit
    return [
        f"{load.requests_per_s:,g} requests/s of {load.prompt_tokens} + {load.answer_tokens} tokens on {load.model}",
        "",
        f"  a request in its slot     {found.service_s:.1f} s",
        f"  open requests             {found.open_requests:,.0f} on average",
        f"  slots                     {found.slots:,}",
        f"  wait in line              {found.waiting_share:.1%} of the requests, {found.refused_share:.2%} too long",
        f"  instances                 {found.instances:,} x {model['instance']}",
        f"  DynamoDB write units/s    {found.writes_per_s:,.0f}",
        f"  Lambda concurrency        {found.lambda_concurrency:,}",
        "",
        *(f"  {name:<25} {usd:>12,.2f} USD a day" for name, usd in found.usd_per_day.items()),
        f"  {'in all':<25} {sum(found.usd_per_day.values()):>12,.2f} USD a day",
        f"  {'a million tokens':<25} {found.usd_per_million_tokens:>12,.2f} USD",
        "",
        *_shares(found.limits),
        "",
        f"  {'Past' if first.share > 1 else 'Nearest'}: {first.name}.",
        "",
        "  When more comes than that, and the line is full:",
        *_shares(found.when_full),
    ]


def _shares(limits: tuple[Limit, ...]) -> list[str]:
    return [
        f"  {limit.name:<46} {limit.needed:>10,.0f} of {limit.allowed:>9,}  {limit.share:>7.0%}"
        for limit in sorted(limits, key=lambda limit: -limit.share)
    ]


def cost_curve(prices: Mapping[str, Any]) -> str:
    """SVG of each model's cost a day, dashed where its line is more than one item of a table can take."""
    lines: dict[str, list[tuple[float, float]]] = {}
    solid_until: dict[str, float] = {}
    for model in prices["models"]:
        plans = [plan(replace(EXAMPLE, model=model, requests_per_s=each), prices) for each in _CURVE]
        lines[model] = [(found.load.requests_per_s, sum(found.usd_per_day.values())) for found in plans]
        solid_until[model] = max(found.load.requests_per_s for found in plans if found.fits_one_line)
    title = (
        f"Cost of {EXAMPLE.prompt_tokens} + {EXAMPLE.answer_tokens} tokens a request; dashed: past what one line takes"
    )
    return curves(title, x_name="requests a second", y_name="USD a day", lines=lines, solid_until=solid_until)


if __name__ == "__main__":
    sys.exit(main())
