"""`python -m benchmarks.capacity_check`: the plan's promises beside the real line's play, into docs/capacity.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from benchmarks.capacity import REFUSED_SHARE, WAITING_SHARE, read_prices, slots_for
from benchmarks.erlang import longer_share, mean_wait_s, waiting_share
from benchmarks.line_seen import refused_share
from benchmarks.line_simulation import Scene, simulate
from benchmarks.pages import with_figures
from benchmarks.plan_capacity import PAGE

WAIT_S = float(read_prices()["stack"]["line_wait_s"])
ALIKE, EXPONENTIAL = 4.0, 1.0
"""Gamma's shapes: answers whose length spreads by half of their mean, as in docs/line.md, or by all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Of all requests: who found no slot free, who was refused; and the mean wait of the former."""

    waiting: float
    refused: float
    wait_s: float

    def keep_the_promise(self, *, margin: float = 1.0) -> bool:
        """Whether both shares are within the plan's promise, or so many times as much."""
        return self.waiting <= WAITING_SHARE * margin and self.refused <= REFUSED_SHARE * margin


def reckoned(slots: int, offered: float, *, service_s: float) -> Shares:
    """What the plan's formulas say."""
    return Shares(
        waiting=waiting_share(slots, offered),
        refused=longer_share(slots, offered, service_s=service_s, wait_s=WAIT_S),
        wait_s=mean_wait_s(slots, offered, service_s=service_s),
    )


def played(slots: int, offered: float, *, service_s: float, shape: float = ALIKE, asked: int = 6_000) -> Shares:
    """What the real line does with about so many requests of twelve accounts, nothing else happening."""
    scene = Scene(
        slots=slots,
        load=offered / slots,
        service_s=service_s,
        shape=shape,
        slow_share=0,
        crash_share=0,
        burst=0,
        hold_s=15 * service_s,
        wait_s=WAIT_S,
        lasts_s=asked * service_s / offered,
    )
    seen = simulate(scene)
    waits = [seen.fates[request_id].waited_s for request_id in seen.expected_s]
    return Shares(
        waiting=len(waits) / len(seen.fates),
        refused=refused_share(seen.fates.values()),
        wait_s=fmean(waits) if waits else 0.0,
    )


def planned(offered: float, *, service_s: float) -> int:
    """The plan's slots."""
    return slots_for(offered, held_s=service_s, wait_s=WAIT_S)


def too_few(offered: float, *, service_s: float) -> int:
    """The most slots of which the plan says that they break its promise twice over."""
    slots = planned(offered, service_s=service_s)
    while reckoned(slots, offered, service_s=service_s).keep_the_promise(margin=2):
        slots -= 1
    return slots


def _rows() -> Iterator[tuple[str, int, float, float]]:
    for offered in (1.0, 4.0, 20.0):
        for service_s in (3.0, 60.0):
            yield "the plan's", planned(offered, service_s=service_s), offered, service_s
            yield "too few", too_few(offered, service_s=service_s), offered, service_s
    for slots, used, service_s in ((8, 0.5, 3.0), (8, 0.7, 20.0), (8, 0.85, 3.0), (8, 0.95, 20.0)):
        yield f"{used:.0%} used", slots, slots * used, service_s


def table() -> str:
    """Formula and play side by side."""
    lines = [
        "| slots | | open on average | seconds in a slot | find none free: formula | played | exponential "
        f"| over {WAIT_S:g} s, refused: formula | played | exponential |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind, slots, offered, service_s in _rows():
        said = reckoned(slots, offered, service_s=service_s)
        seen = [played(slots, offered, service_s=service_s, shape=shape) for shape in (ALIKE, EXPONENTIAL)]
        cells = (
            f"{slots}",
            kind,
            f"{offered:.3g}",
            f"{service_s:g}",
            *(f"{each.waiting:.1%}" for each in (said, *seen)),
            *(f"{each.refused:.2%}" for each in (said, *seen)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Plays for some minutes, writes the page."""
    PAGE.write_text(with_figures(PAGE.read_text("utf-8"), "promises", table()), "utf-8")


if __name__ == "__main__":
    main()
