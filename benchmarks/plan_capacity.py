"""`make plan-capacity RPS=… PROMPT=… ANSWER=… MODEL=…`: what a load needs; with `--plot`, the cost curve."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.capacity import Load, Plan, plan, read_prices
from benchmarks.plots import curves

_CURVE = [round(10 ** (step / 6), 3) for step in range(25)]
"""1 to 10,000 requests a second, six to a decade."""


def main() -> int:
    """Prints the plan; 1 for a model that has no prices."""
    parser = argparse.ArgumentParser(description="Instances, slots, units and dollars for a load.")
    parser.add_argument("--rps", type=float, default=10)
    parser.add_argument("--prompt", type=int, default=500)
    parser.add_argument("--answer", type=int, default=300)
    parser.add_argument("--model", default="gemma-3-12b-it-qat")
    parser.add_argument("--plot", type=Path, help="write the cost curve of all models here, as SVG")
    asked = parser.parse_args()
    prices = read_prices()
    if asked.model not in prices["models"]:
        print(f"No prices for {asked.model}; there are: {', '.join(prices['models'])}.", file=sys.stderr)
        return 1
    if asked.rps <= 0 or asked.prompt < 0 or asked.answer < 1:
        print("RPS and ANSWER must be above 0, PROMPT not below.", file=sys.stderr)
        return 1
    load = Load(requests_per_s=asked.rps, prompt_tokens=asked.prompt, answer_tokens=asked.answer, model=asked.model)
    print("\n".join(_lines(plan(load, prices), prices["models"][asked.model])))
    if asked.plot:
        asked.plot.write_text(_cost_curve(load), "utf-8")
    return 0


def _lines(found: Plan, model: dict[str, object]) -> list[str]:
    load, first = found.load, found.first_limit
    return [
        f"{load.requests_per_s:,g} requests/s of {load.prompt_tokens} + {load.answer_tokens} tokens on {load.model}",
        "",
        f"  a request in its slot     {found.service_s:.1f} s",
        f"  open requests             {found.open_requests:,.0f} on average",
        f"  slots                     {found.slots:,} (the average and two deviations)",
        f"  instances                 {found.instances:,} x {model['instance']}",
        f"  DynamoDB write units/s    {found.writes_per_s:,.0f}",
        f"  Lambda concurrency        {found.lambda_concurrency:,}",
        "",
        *(f"  {name:<25} {usd:>12,.2f} USD a day" for name, usd in found.usd_per_day.items()),
        f"  {'in all':<25} {sum(found.usd_per_day.values()):>12,.2f} USD a day",
        f"  {'a million tokens':<25} {found.usd_per_million_tokens:>12,.2f} USD",
        "",
        *(
            f"  {limit.name:<40} {limit.needed:>10,.0f} of {limit.allowed:>8,}  {limit.share:>7.0%}"
            for limit in sorted(found.limits, key=lambda limit: -limit.share)
        ),
        "",
        f"  {'Past' if first.share > 1 else 'Nearest'}: {first.name}.",
    ]


def _cost_curve(load: Load) -> str:
    prices = read_prices()
    lines = {}
    for model in prices["models"]:
        line = []
        for requests_per_s in _CURVE:
            found = plan(
                Load(
                    requests_per_s=requests_per_s,
                    prompt_tokens=load.prompt_tokens,
                    answer_tokens=load.answer_tokens,
                    model=model,
                ),
                prices,
            )
            line.append((requests_per_s, sum(found.usd_per_day.values())))
        lines[model] = line
    title = f"Cost of {load.prompt_tokens} + {load.answer_tokens} tokens a request"
    return curves(title, x_name="requests a second", y_name="USD a day", lines=lines)


if __name__ == "__main__":
    sys.exit(main())
