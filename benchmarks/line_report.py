"""`python -m benchmarks.line_report`: plays the scenes of the line, draws their waits, fills in docs/line.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Any

from gateway.adapters.aws.lines import _holder, _waiter
from gateway.domain.line import Waiter

from benchmarks.capacity import ACCOUNT_WRITES, SETTLE_WRITES, read_prices
from benchmarks.line_picture import draw_waits
from benchmarks.line_simulation import Scene, Seen, calls_of_a_request, percentile, simulate

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/images/line-waits.svg"
PAGE = ROOT / "docs/line.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
SLOTS = (10, 100, 1000)
SERVICE_S = (3, 6, 10, 20)
WAITING_PER_SLOT = 4
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


def most_slots(service_s: float, *, writes: float, units_per_s: float) -> int:
    """The most slots one item may have so that a full line takes at most these write units a second."""
    slots = 1
    while True:
        size = item_bytes(holding=slots + 1, waiting=WAITING_PER_SLOT * (slots + 1))
        if size > ITEM_LIMIT_BYTES or (slots + 1) / service_s * writes * write_units(size) > units_per_s:
            return slots
        slots += 1


def sizes_table(*, calm_writes: float, full_writes: float, limit: float) -> list[str]:
    """The item at 10, 100 and 1,000 slots."""
    rows = [
        f"| slots | line | item | write units a write | writes/s at {Scene().service_s:g} s | units/s | of the limit |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for slots in SLOTS:
        for name, waiting, writes in (("empty", 0, calm_writes), ("full", WAITING_PER_SLOT * slots, full_writes)):
            size = item_bytes(holding=slots, waiting=waiting)
            rate = slots / Scene().service_s * writes
            units = rate * write_units(size)
            fits = "does not fit" if size > ITEM_LIMIT_BYTES else f"{units / limit:.0%}"
            measures = (f"{size / 1024:,.1f} KB", f"{write_units(size):,}", f"{rate:,.1f}", f"{units:,.0f}")
            rows.append(f"| {slots:,} | {name} | {' | '.join(measures)} | {fits} |")
    return rows


def figures(calm: Seen, fair: Seen, plain: Seen, full: Seen) -> list[str]:
    """The generated part of the page."""
    dynamodb = read_prices()["dynamodb"]
    limit = dynamodb["writes_per_s_of_an_item"]
    full_writes = sum(full.calls[name] for name in ("take", "join", "take_turn", "leave")) / full.served
    lines = ["", "| | steady accounts: mean wait | median | p95 | p99 | refused | the burst: median |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, seen in (("no burst", calm), ("bursts, plain order", plain), ("bursts, fair order", fair)):
        waits = seen.steady_waits_s
        steady = sum(asked for account, asked in seen.asked.items() if account != "burst")
        refused = sum(count for account, count in seen.refused.items() if account != "burst")
        burst = f"{percentile(seen.waits_s['burst'], 50):.1f} s" if "burst" in seen.waits_s else ""
        lines.append(
            f"| {name} | {fmean(waits):.2f} s | {percentile(waits, 50):.2f} s | {percentile(waits, 95):.1f} s "
            f"| {percentile(waits, 99):.1f} s | {refused / steady:.1%} | {burst} |"
        )
    calls = calls_of_a_request(calm)
    lines += [
        "",
        f"Never more than {fair.most_running} of {Scene().slots} slots ran at once. {fair.dead} processes died with "
        f"their slot: nobody waited beside one for longer than {fair.longest_dead_s:.1f} s past its lease. "
        f"At the end {fair.left_over} held or waited.",
        "",
        f"Without bursts a request costs {calls['writes']:.1f} writes and {calls['reads']:.1f} reads of the model's "
        "item in this scene (2 and 0 where a slot is free at once); past saturation "
        f"{full_writes:.1f} writes for each one served, those of the refused ones included.",
        "",
        *sizes_table(calm_writes=2, full_writes=full_writes, limit=limit),
        "",
        "| seconds in a slot | most slots on one item |",
        "| ---: | ---: |",
    ]
    for service_s in SERVICE_S:
        lines.append(f"| {service_s} | {most_slots(service_s, writes=full_writes, units_per_s=limit / 2)} |")
    line_units = 2 * write_units(item_bytes(holding=Scene().slots, waiting=0))
    units = ACCOUNT_WRITES + line_units + SETTLE_WRITES
    usd = units * dynamodb["usd_per_million_writes"]
    lines += [
        "",
        f"A request whose slot is free, at {Scene().slots} slots: {ACCOUNT_WRITES} write units to admit, {line_units} "
        f"for the slot and its return, {SETTLE_WRITES} to settle. {units} units are ${usd / 1e6:.7f}, "
        f"or ${usd:.2f} for a million requests.",
        "",
    ]
    return lines


def write_page(lines: Sequence[str]) -> None:
    """Puts the figures between the page's two marks."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("".join([before, BEGIN, "\n".join(lines), END, after]), "utf-8")


def main() -> None:
    """Plays, draws, writes."""
    scene = Scene()
    fair, plain = simulate(scene), simulate(scene, fair=False)
    calm, full = simulate(replace(scene, burst=0)), simulate(replace(scene, load=1.3, lasts_s=1800))
    series = {"no burst": calm, "bursts, plain order": plain, "bursts, fair order": fair}
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw_waits(series, most_s=scene.wait_s), "utf-8")
    write_page(figures(calm, fair, plain, full))
    print(PICTURE, PAGE, sep="\n")


if __name__ == "__main__":
    main()
