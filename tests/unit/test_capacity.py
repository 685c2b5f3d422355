"""What a load needs is arithmetic: it grows with the load, and each part can be checked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from gateway.catalogue import load_catalogue
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity import Load, line_write_units, plan, read_prices, service_s, slots_for

PRICES = read_prices()
LOAD = Load(requests_per_s=10, prompt_tokens=450, answer_tokens=446, model="gemma-3-12b-it-qat")

loads = st.builds(
    Load,
    requests_per_s=st.floats(0.01, 10_000),
    prompt_tokens=st.integers(0, 30_000),
    answer_tokens=st.integers(1, 8_000),
    model=st.sampled_from(sorted(PRICES["models"])),
)


def test_a_request_holds_its_slot_for_its_prompt_and_its_share_of_the_decoding() -> None:
    assert service_s(LOAD, PRICES["models"][LOAD.model]) == pytest.approx(450 / 4500 + 446 * 13 / 446)


def test_a_plan_can_be_checked_by_hand() -> None:
    found = plan(LOAD, PRICES)
    assert found.open_requests == pytest.approx(131)
    assert found.slots == 154  # 131 + 2 · √131
    assert found.instances == 12  # of 13 slots
    assert found.usd_per_day["GPU instances"] == pytest.approx(12 * 1.127 * 24)
    # one to admit, twice the model's item of 9 KB, six to settle
    assert found.writes_per_s == pytest.approx(10 * (1 + 2 * 8 + 6))
    assert found.usd_per_day["API Gateway"] == pytest.approx(864_000 * 3.5e-6)


def test_a_full_line_of_a_hundred_slots_costs_six_units_a_write() -> None:
    assert [line_write_units(slots) for slots in (1, 17, 18, 100)] == [1, 1, 2, 6]


@given(loads)
def test_the_slots_hold_more_than_what_is_open_on_average(load: Load) -> None:
    found = plan(load, PRICES)
    assert found.open_requests < found.slots <= found.instances * PRICES["models"][load.model]["slots"]


@given(loads, st.floats(1, 100))
def test_more_requests_never_need_or_cost_less(load: Load, factor: float) -> None:
    less, more = plan(load, PRICES), plan(replace(load, requests_per_s=load.requests_per_s * factor), PRICES)
    assert less.instances <= more.instances
    assert all(less.usd_per_day[name] <= more.usd_per_day[name] for name in less.usd_per_day)
    assert all(a.needed <= b.needed for a, b in zip(less.limits, more.limits, strict=True))


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_one_pool_of_slots_needs_no_more_than_two(one: float, other: float) -> None:
    assert slots_for(one + other) <= slots_for(one) + slots_for(other) + 1


@pytest.mark.parametrize(
    ("requests_per_s", "limit"),
    [(1, "SageMaker instances"), (100, "write units a second of the model's item")],
)
def test_the_limit_that_bites_first_is_named(requests_per_s: float, limit: str) -> None:
    found = plan(replace(LOAD, requests_per_s=requests_per_s), PRICES)
    assert found.first_limit.name == limit
    assert found.first_limit.share == max(each.share for each in found.limits)


def test_a_model_without_prices_is_refused() -> None:
    with pytest.raises(KeyError):
        plan(replace(LOAD, model="gpt-4"), PRICES)


def test_the_slots_of_the_prices_are_the_catalogue_s() -> None:
    catalogue = load_catalogue().models
    prices: dict[str, Any] = PRICES["models"]
    assert {id_: model["slots"] for id_, model in prices.items()} == {
        id_: catalogue[id_].slots_per_copy for id_ in prices
    }
