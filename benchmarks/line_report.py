"""`python -m benchmarks.line_report`: plays the scenes of the line, draws their waits, fills in docs/line.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Any

from gateway.adapters.aws.lines import _holder, _waiter
from gateway.domain.line import Waiter

from benchmarks.capacity import ACCOUNT_WRITES, SETTLE_WRITES, full_line, read_prices
from benchmarks.line_picture import draw_waits
from benchmarks.line_seen import (
    BURST,
    WRITES,
    Seen,
    calls_of_a_request,
    percentile,
    refused_share,
    soon_after,
    waits,
)
from benchmarks.line_simulation import Scene, simulate
from benchmarks.pages import with_figures

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/images/line-waits.svg"
PAGE = ROOT / "docs/line.md"
SLOTS = (10, 100, 1000)
SERVICE_S = (3, 6, 10, 20)
ITEM_LIMIT_BYTES = 400 * 1024
REQUEST_ID = "r" * 24
ACCOUNT_ID = "a" * 12
NOW_S = 1_795_435_200.123456


def value_bytes(value: Mapping[str, Any]) -> int:
    """The size of an attribute's value by DynamoDB's rules: UTF-8, half a byte a digit, three bytes a map."""
    if "M" in value:
        return 3 + sum(1 + len(name.encode()) + value_bytes(inner) for name, inner in value["M"].items())
    if "N" in value:
        digits = sum(character.isdigit() for character in str(value["N"]))
        return ceil(digits / 2) + 1
    return len(str(value["S"]).encode())


def item_bytes(*, holding: int, waiting: int) -> int:
    """The size of a model's item with so many holders and waiters, each of an account that had a turn of late."""
    holder = 1 + len(REQUEST_ID) + value_bytes(_holder(ACCOUNT_ID, NOW_S))
    waiter = Waiter(request_id=REQUEST_ID, account_id=ACCOUNT_ID, since_s=NOW_S, deadline_s=NOW_S)
    waiter_bytes = 1 + len(REQUEST_ID) + value_bytes(_waiter(waiter))
    turn = 1 + len(ACCOUNT_ID) + value_bytes({"N": repr(NOW_S)})
    return 250 + holding * holder + waiting * (waiter_bytes + turn)


def write_units(size: int) -> int:
    """Write units of one update of an item of this size."""
    return ceil(size / 1024)


def read_units(size: int) -> int:
    """Read units of one consistent read of an item of this size."""
    return ceil(size / 4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often an item is written for each slot served, and read by each waiter in a second."""

    writes: float
    looks: float

    def units(self, slots: int, *, waiting: int, service_s: float) -> tuple[int, float, float]:
        """The item's bytes, and the write and read units a second that it takes."""
        size = item_bytes(holding=slots, waiting=waiting)
        return size, slots / service_s * self.writes * write_units(size), waiting * self.looks * read_units(size)


def waiting_before(slots: int, service_s: float) -> int:
    """How many may wait before so many slots, in the scene."""
    return full_line(slots, held_s=service_s, wait_s=Scene().wait_s)


def most_slots(service_s: float, *, rates: Rates, writes_per_s: float, reads_per_s: float) -> int:
    """The most slots one item may have so that a full line takes at most these units a second."""
    slots = 1
    while True:
        size, writes, reads = rates.units(slots + 1, waiting=waiting_before(slots + 1, service_s), service_s=service_s)
        if size > ITEM_LIMIT_BYTES or writes > writes_per_s or reads > reads_per_s:
            return slots
        slots += 1


def sizes_table(*, calm: Rates, full: Rates, writes_per_s: float, reads_per_s: float) -> list[str]:
    """The item at 10, 100 and 1,000 slots."""
    service_s = Scene().service_s
    rows = [
        f"| slots | line | item | writes/s at {service_s:g} s | write units/s | of the limit | read units/s "
        "| of the limit |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for slots in SLOTS:
        for name, waiting, rates in (("empty", 0, calm), ("full", waiting_before(slots, service_s), full)):
            size, writes, reads = rates.units(slots, waiting=waiting, service_s=service_s)
            fits = size <= ITEM_LIMIT_BYTES
            cells = (
                f"{size / 1024:,.1f} KB",
                f"{slots / service_s * rates.writes:,.1f}",
                f"{writes:,.0f}",
                f"{writes / writes_per_s:,.0%}" if fits else "does not fit",
                f"{reads:,.0f}",
                f"{reads / reads_per_s:,.0%}" if fits else "does not fit",
            )
            rows.append(f"| {slots:,} | {name} | {' | '.join(cells)} |")
    return rows


def waits_table(series: Mapping[str, Seen], *, scene: Scene) -> list[str]:
    """What the steady accounts wait, and what becomes of the bursts."""
    soon = soon_after(scene.bursts_s, scene.wait_s + 10)
    lines = [
        "| | steady accounts: mean wait | median | p95 | p99 | refused "
        f"| mean within {scene.wait_s + 10:g} s of a burst | the burst: median | refused |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, seen in series.items():
        waited, near = waits(seen.steady), waits(filter(soon, seen.steady))
        spread = f"{percentile(waited, 50):.2f} s | {percentile(waited, 95):.1f} s | {percentile(waited, 99):.1f} s"
        burst = seen.of(BURST)
        bursts = f"{percentile(waits(burst), 50):.1f} s | {refused_share(burst):.0%}" if burst else " | "
        lines.append(
            f"| {name} | {fmean(waited):.2f} s | {spread} | {refused_share(seen.steady):.1%} "
            f"| {fmean(near):.1f} s | {bursts} |"
        )
    return lines


def most_of_one(before: Seen, after: Seen, measure: Callable[[list[float]], float]) -> float:
    """By how much at most this measure of one steady account's waits grows."""
    return max(measure(waits(after.of(name))) / measure(waits(before.of(name))) for name in before.accounts)


def figures(series: Mapping[str, Seen], full: Seen, *, scene: Scene) -> list[str]:
    """The generated part of the page."""
    calm, plain, fair = series.values()
    dynamodb = read_prices()["dynamodb"]
    limits = {"writes_per_s": dynamodb["writes_per_s_of_an_item"], "reads_per_s": dynamodb["reads_per_s_of_an_item"]}
    waited_s = sum(fate.waited_s for fate in full.fates.values())
    rates = Rates(writes=sum(full.calls[name] for name in WRITES) / full.served, looks=full.calls["look"] / waited_s)
    means = [most_of_one(calm, seen, fmean) for seen in (fair, plain)]
    tails = [most_of_one(calm, seen, lambda values: percentile(values, 95)) for seen in (fair, plain)]
    lines = [
        *waits_table(series, scene=scene),
        "",
        f"Of the {len(calm.accounts)} steady accounts, the one that the bursts cost most waits {means[0]:.2f} times as "
        f"long on average as without them, and {tails[0]:.2f} times at the 95th percentile; in plain order "
        f"{means[1]:.1f} and {tails[1]:.1f} times.",
    ]
    calls = calls_of_a_request(calm)
    lines += [
        "",
        f"Never more than {fair.most_running} of {scene.slots} slots ran at once; a slot was free while somebody "
        f"waited for {fair.idle_s / scene.slots / scene.lasts_s:.1%} of the time. {fair.dead} processes died with "
        f"their slot: nobody waited beside one for longer than {fair.longest_dead_before_a_waiter_s:.1f} s past its "
        f"lease. At the end {fair.left_over} held or waited.",
        "",
        f"Without bursts a request costs {calls['writes']:.1f} writes and {calls['reads']:.1f} reads of the model's "
        "item in this scene (2 and 0 where a slot is free at once); past saturation "
        f"{rates.writes:.1f} writes for each one served, those of the refused ones included, and {rates.looks:.1f} "
        "reads a second for each that waits.",
        "",
        *sizes_table(calm=Rates(writes=2, looks=0), full=rates, **limits),
        "",
        "| seconds in a slot | most slots on one item |",
        "| ---: | ---: |",
    ]
    half = {name: limit / 2 for name, limit in limits.items()}
    for service_s in SERVICE_S:
        lines.append(f"| {service_s} | {most_slots(service_s, rates=rates, **half)} |")
    line_units = 2 * write_units(item_bytes(holding=Scene().slots, waiting=0))
    units = ACCOUNT_WRITES + line_units + SETTLE_WRITES
    usd = units * dynamodb["usd_per_million_writes"]
    lines += [
        "",
        f"A request whose slot is free, at {Scene().slots} slots: {ACCOUNT_WRITES} write units to admit, {line_units} "
        f"for the slot and its return, {SETTLE_WRITES} to settle. {units} units are ${usd / 1e6:.7f}, "
        f"or ${usd:.2f} for a million requests.",
    ]
    return lines


def main() -> None:
    """Plays, draws, writes."""
    scene = Scene()
    series = {
        "no burst": simulate(replace(scene, burst=0)),
        "bursts, plain order": simulate(scene, fair=False),
        "bursts, fair order": simulate(scene),
    }
    full = simulate(replace(scene, load=1.3, lasts_s=1800))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw_waits(series, most_s=scene.wait_s), "utf-8")
    page = with_figures(PAGE.read_text("utf-8"), "line", "\n".join(figures(series, full, scene=scene)))
    PAGE.write_text(page, "utf-8")
    print(PICTURE, PAGE, sep="\n")


if __name__ == "__main__":
    main()
