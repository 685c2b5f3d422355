"""What a load needs is arithmetic: it grows with the load, and each part can be checked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from gateway.catalogue import load_catalogue
from gateway.config import Settings
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity import (
    REFUSED_SHARE,
    WAITING_PER_SLOT,
    WAITING_SHARE,
    Load,
    full_line,
    line_bytes,
    plan,
    read_prices,
    service_s,
    slots_for,
    write_units,
)
from benchmarks.line_report import item_bytes
from benchmarks.pages import with_figures
from benchmarks.plan_capacity import CURVE, PAGE, cost_curve, limits_table, plans_table
from benchmarks.processes import ROOT
from infra.local.template import load_template

PRICES = read_prices()
LOAD = Load(requests_per_s=10, prompt_tokens=450, answer_tokens=446, model="gemma-3-12b-it-qat")

loads = st.builds(
    Load,
    requests_per_s=st.floats(0.01, 1000),
    prompt_tokens=st.integers(0, 30_000),
    answer_tokens=st.integers(1, 8_000),
    model=st.sampled_from(sorted(PRICES["models"])),
)


def test_a_request_holds_its_slot_for_its_prompt_and_its_share_of_the_decoding() -> None:
    assert service_s(LOAD, PRICES["models"][LOAD.model]) == pytest.approx(450 / 4500 + 446 * 13 / 446)


def test_a_plan_can_be_checked_by_hand() -> None:
    found = plan(LOAD, PRICES)
    assert found.open_requests == pytest.approx(131)
    assert found.slots == 152  # the fewest with which at most one in twenty finds none free
    assert found.instances == 12  # of 13 slots
    assert found.usd_per_day["GPU instances"] == pytest.approx(12 * 1.127 * 24)
    # one to admit, twice the model's item of 8 KB and twice more for who waits, six to settle
    assert found.writes_per_s == pytest.approx(10 * (1 + (2 + 2 * WAITING_SHARE) * 8 + 6))
    assert found.usd_per_day["API Gateway"] == pytest.approx(864_000 * 3.5e-6)


def test_a_full_line_of_a_hundred_slots_costs_six_units_a_write() -> None:
    assert [write_units(line_bytes(slots)) for slots in (1, 17, 18, 100)] == [1, 1, 2, 6]


@pytest.mark.parametrize("slots", [20, 100, 900])
def test_a_full_line_s_item_is_as_large_as_the_adapter_makes_it(slots: int) -> None:
    waiting = full_line(slots, held_s=6.0, wait_s=20.0)
    assert slots < waiting < WAITING_PER_SLOT * slots
    assert line_bytes(slots, waiting=waiting) == pytest.approx(item_bytes(holding=slots, waiting=waiting), rel=0.05)


def test_a_full_line_holds_more_functions_and_a_larger_item_than_was_planned() -> None:
    found = plan(LOAD, PRICES)
    planned = {limit.name: limit.needed for limit in found.limits}
    assert all(limit.needed > planned[limit.name] for limit in found.when_full)


@given(loads)
def test_the_slots_hold_more_than_what_is_open_on_average(load: Load) -> None:
    found = plan(load, PRICES)
    assert found.waiting_share <= WAITING_SHARE
    assert found.refused_share <= REFUSED_SHARE
    assert found.open_requests < found.slots <= found.instances * PRICES["models"][load.model]["slots"]


@given(loads, st.floats(1, 100))
def test_more_requests_never_need_or_cost_less(load: Load, factor: float) -> None:
    less, more = plan(load, PRICES), plan(replace(load, requests_per_s=load.requests_per_s * factor), PRICES)
    assert less.instances <= more.instances
    assert all(less.usd_per_day[name] <= more.usd_per_day[name] for name in less.usd_per_day)
    assert all(a.needed <= b.needed for a, b in zip(less.limits, more.limits, strict=True))


@given(st.floats(0.01, 1e5), st.floats(0.01, 1e5), st.floats(1, 200))
def test_one_pool_of_slots_needs_no_more_than_two(one: float, other: float, held_s: float) -> None:
    promise = {"held_s": held_s, "wait_s": 20.0}
    assert slots_for(one + other, **promise) <= slots_for(one, **promise) + slots_for(other, **promise)


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


def test_the_stack_s_own_limits_are_the_template_s() -> None:
    document = load_template(ROOT / "template.yaml", region="us-east-1", account_id="1" * 12, stack_name="s").document
    chat = document["Resources"]["ChatFunction"]["Properties"]
    variables, stack = chat["Environment"]["Variables"], PRICES["stack"]
    assert document["Parameters"]["RequestsPerSecond"]["Default"] == stack["requests_per_s"]
    assert chat["MemorySize"] / 1024 == PRICES["lambda"]["memory_gb"]
    assert float(variables["LINE_WAIT_S"]) == stack["line_wait_s"]
    assert float(variables["REQUEST_TIMEOUT_S"]) == stack["request_timeout_s"]
    assert Settings.model_fields["max_body_bytes"].default == stack["max_body_bytes"]


def test_the_plan_whose_account_is_reckoned_is_the_largest_that_is_sold() -> None:
    plans = load_catalogue().plans.values()
    assert PRICES["plan"] == {
        "max_open_requests": max(each.max_open_requests for each in plans),
        "requests_per_minute": max(each.requests_per_minute for each in plans),
    }


def test_the_page_shows_the_plans_and_the_curve_that_the_prices_give() -> None:
    page = PAGE.read_text("utf-8")
    shown = with_figures(page, "plans", plans_table(PRICES))
    assert with_figures(shown, "limits", limits_table(PRICES)) == page
    assert CURVE.read_text("utf-8") == cost_curve(PRICES)
