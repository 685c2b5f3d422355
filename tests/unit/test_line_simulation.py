"""The line under load, in virtual time: what must hold whatever comes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gateway.application.queueing import POLL_S

from benchmarks.line_simulation import Scene, Seen, percentile, simulate

HOUR = Scene(lasts_s=1800)
CALM = replace(HOUR, burst=0)


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
    assert seen.most_running <= HOUR.slots
    assert seen.left_over == 0
    assert seen.served + sum(seen.refused.values()) == sum(seen.asked.values())


def test_nobody_starves(fair: Seen) -> None:
    longest_poll_s = POLL_S[1] * 1.5
    for account, waits in fair.waits_s.items():
        assert max(waits) <= HOUR.wait_s + longest_poll_s
        assert len(waits) > (0.2 if account == "burst" else 0.8) * fair.asked[account], account


def test_a_burst_of_one_account_does_not_double_what_others_wait(fair: Seen, plain: Seen, calm: Seen) -> None:
    mean = {name: sum(seen.steady_waits_s) / len(seen.steady_waits_s) for name, seen in _named(fair, plain, calm)}
    assert mean["fair"] < 2 * mean["calm"]
    assert mean["plain"] > 2 * mean["calm"], "without fairness it would have"


def test_a_burst_refuses_no_more_of_others_under_the_fair_order(fair: Seen, plain: Seen) -> None:
    assert _refused_of_others(fair) <= _refused_of_others(plain)


def test_a_dead_process_s_slot_is_back_when_its_lease_is_over() -> None:
    seen = simulate(replace(HOUR, lasts_s=900, load=1.0, crash_share=0.1))
    assert seen.dead > 10
    assert seen.longest_dead_s <= POLL_S[1] * 1.5, "whoever waits meets it at its next look"


def test_a_slow_model_keeps_the_order_fair() -> None:
    slow = replace(HOUR, service_s=15, slow_s=50, load=0.6)
    assert percentile(simulate(slow).steady_waits_s, 95) <= percentile(simulate(slow, fair=False).steady_waits_s, 95)


def _named(fair: Seen, plain: Seen, calm: Seen) -> list[tuple[str, Seen]]:
    return [("fair", fair), ("plain", plain), ("calm", calm)]


def _refused_of_others(seen: Seen) -> int:
    return sum(count for account, count in seen.refused.items() if account != "burst")
