"""The plan beside the real line: its slots keep its promise, fewer do not, and its formulas tell how far off.

Played in virtual time from a seed, so the figures are the same on every machine; docs/capacity.md shows more of them.
"""

from __future__ import annotations

import pytest

from benchmarks.capacity import REFUSED_SHARE
from benchmarks.capacity_check import EXPONENTIAL, planned, played, reckoned, too_few

ASKED = 4000
CHANCE = 1.25
"""So many requests still are a sample: what is counted may be by so much off what is reckoned."""
LOADS = [(1.0, 60.0), (2.0, 3.0), (4.0, 20.0), (12.0, 3.0), (12.0, 60.0)]
"""Few and many slots, short and long answers: on average so many open, for so many seconds each."""
USED = [(8, 0.5, 3.0), (8, 0.7, 20.0), (8, 0.85, 3.0), (8, 0.95, 20.0)]
"""Slots, the share of them that is used, seconds in a slot."""


@pytest.mark.parametrize(("offered", "service_s"), LOADS)
def test_the_plan_s_slots_keep_its_promise(offered: float, service_s: float) -> None:
    slots = planned(offered, service_s=service_s)
    assert played(slots, offered, service_s=service_s, asked=ASKED).keep_the_promise(margin=CHANCE)


@pytest.mark.parametrize(("offered", "service_s"), LOADS)
def test_so_few_slots_that_the_plan_says_no_do_not_keep_it(offered: float, service_s: float) -> None:
    slots = too_few(offered, service_s=service_s)
    assert slots < planned(offered, service_s=service_s)
    seen = played(slots, offered, service_s=service_s, shape=EXPONENTIAL, asked=ASKED)
    assert not seen.keep_the_promise(margin=CHANCE)


@pytest.mark.parametrize(("slots", "used", "service_s"), USED)
def test_who_finds_no_slot_free_is_who_the_formulas_say(slots: int, used: float, service_s: float) -> None:
    """Past the promise the line refuses, which keeps it shorter than a line that nobody leaves."""
    said = reckoned(slots, slots * used, service_s=service_s)
    seen = played(slots, slots * used, service_s=service_s, asked=ASKED)
    assert seen.waiting <= said.waiting * CHANCE
    assert seen.wait_s <= said.wait_s * CHANCE
    assert seen.refused <= said.refused + REFUSED_SHARE
    if said.refused < REFUSED_SHARE:
        assert seen.waiting >= said.waiting / CHANCE
