"""The line under load, in virtual time: what must hold whatever comes."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest
from gateway.domain.line import LOOK_S

from benchmarks.line_seen import BURST, Seen, percentile, refused_share, soon_after, waits
from benchmarks.line_simulation import UPKEEP_EVERY_S, Scene, simulate

HOUR = Scene()
CALM = replace(HOUR, burst=0)
LONGEST_LOOK_S = LOOK_S[1] * 1.5 + 4 * HOUR.call_s
"""A look away at its longest, jitter and the calls around it included."""


@pytest.fixture(scope="module")
def fair() -> Seen:
    return simulate(HOUR)


@pytest.fixture(scope="module")
def plain() -> Seen:
    return simulate(HOUR, fair=False)


@pytest.fixture(scope="module")
def calm() -> Seen:
    return simulate(CALM)


def test_a_scene_is_the_same_each_time() -> None:
    short = replace(HOUR, lasts_s=400)
    assert simulate(short) == simulate(short)


@pytest.mark.parametrize("seed", range(3))
def test_never_more_run_than_there_are_slots_and_the_line_empties(seed: int) -> None:
    seen = simulate(replace(HOUR, lasts_s=700, load=1.2, crash_share=0.05, seed=seed))
    assert seen.most_running == HOUR.slots
    assert seen.left_over == 0


def test_every_request_is_served_or_told_why_not_within_the_bound(fair: Seen) -> None:
    assert max(fate.waited_s for fate in fair.fates.values()) <= HOUR.wait_s + 10 * HOUR.call_s
    refused = [fate for fate in fair.fates.values() if fate.refused is not None]
    assert {fate.refused for fate in refused} == {"line_full", "line_timeout"}
    assert all((fate.retry_after_s or 0) >= 1 for fate in refused)


def test_nobody_starves_the_bursting_account_neither() -> None:
    patient = replace(HOUR, lasts_s=1800, wait_s=3600, waiting_per_slot=1000)
    seen = simulate(patient)
    assert len(seen.of(BURST)) == patient.burst * len(patient.bursts_s)
    assert [fate for fate in seen.fates.values() if fate.refused is not None] == []
    assert max(waits(seen.of(BURST))) < patient.burst_every_s, "a burst is over before the next"


def test_a_burst_gets_every_slot_that_the_others_leave(fair: Seen) -> None:
    assert fair.idle_s < 0.02 * HOUR.slots * HOUR.lasts_s, "a slot is hardly ever free while somebody waits"
    for begin_s in HOUR.bursts_s:
        burst = [fate for fate in fair.of(BURST) if begin_s <= fate.at_s < begin_s + 1]
        assert waits(burst), "some of each burst are served"


def test_a_burst_of_one_account_does_not_double_what_any_other_waits(fair: Seen, plain: Seen, calm: Seen) -> None:
    for account in calm.accounts:
        before, with_bursts = waits(calm.of(account)), waits(fair.of(account))
        assert fmean(with_bursts) < 2 * fmean(before), account
        assert percentile(with_bursts, 95) < 2 * percentile(before, 95), account
        assert fmean(waits(plain.of(account))) > 2 * fmean(before), "without fairness it would have"


def test_while_a_burst_is_served_others_wait_for_slots_and_not_for_the_burst(
    fair: Seen, plain: Seen, calm: Seen
) -> None:
    near = soon_after(HOUR.bursts_s, HOUR.wait_s + 10)
    mean = {name: fmean(waits(filter(near, seen.steady))) for name, seen in (("c", calm), ("f", fair), ("p", plain))}
    assert mean["f"] < 2.5 * mean["c"], "all slots are busy then, which no order can change"
    assert mean["p"] > 5 * mean["c"]


def test_a_burst_fills_the_line_for_its_own_account_alone(fair: Seen, plain: Seen) -> None:
    assert [fate for fate in fair.steady if fate.refused == "line_full"] == []
    assert [fate for fate in plain.steady if fate.refused == "line_full"] != []
    assert refused_share(fair.steady) < refused_share(plain.steady) < 0.05


def test_a_dead_process_s_slot_is_back_when_its_lease_is_over() -> None:
    seen = simulate(replace(HOUR, lasts_s=900, load=1.0, crash_share=0.1))
    assert seen.dead > 10
    assert seen.longest_dead_before_a_waiter_s <= LONGEST_LOOK_S, "whoever waits meets it at its next look"


def test_a_dead_process_s_slot_that_nobody_meets_is_back_at_the_next_upkeep() -> None:
    seen = simulate(replace(HOUR, lasts_s=1800, load=0.05, burst=0, crash_share=0.5))
    assert seen.dead > 10
    assert 0 < seen.longest_dead_s <= UPKEEP_EVERY_S + LONGEST_LOOK_S


def test_a_slow_model_keeps_the_order_fair() -> None:
    slow = replace(HOUR, service_s=15, slow_s=50, load=0.6)
    fair, plain = (waits(simulate(slow, fair=each).steady) for each in (True, False))
    assert fmean(fair) < fmean(plain)
    assert percentile(fair, 95) <= percentile(plain, 95)


def test_what_a_refusal_tells_to_wait_is_what_a_wait_takes() -> None:
    alone = replace(CALM, steady_accounts=1, load=0.85, crash_share=0, wait_s=3600, waiting_per_slot=1000)
    seen = simulate(alone)
    told_s = fmean(seen.expected_s.values())
    waited_s = fmean(seen.fates[request_id].waited_s for request_id in seen.expected_s)
    assert len(seen.expected_s) > 1000
    assert 0.7 < told_s / waited_s < 1.3
