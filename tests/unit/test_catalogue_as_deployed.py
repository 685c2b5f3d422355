"""The catalogue as a stack deploys it: engine, slots and context are what the stack says, the rest is as written."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gateway.catalogue import load_catalogue

CATALOGUE = load_catalogue()
MODEL = CATALOGUE.models["gemma-3-12b-it-qat"]


def test_a_stack_that_says_nothing_has_the_catalogue_as_it_is() -> None:
    assert CATALOGUE.as_deployed("") == CATALOGUE


def test_what_a_stack_says_of_one_model_changes_that_model_only() -> None:
    deployed = CATALOGUE.as_deployed("gemma-3-12b-it-qat=vllm/64/16384")
    changed = replace(MODEL, dialect="vllm", slots_per_copy=64, context_tokens=16384)
    assert deployed.models == {**CATALOGUE.models, MODEL.id: changed}
    assert (deployed.plans, deployed.search_prices_usd) == (CATALOGUE.plans, CATALOGUE.search_prices_usd)


@pytest.mark.parametrize(
    "entries",
    [
        "no-such-model=vllm/4/4096",
        "gemma-3-12b-it-qat=tgi/4/4096",
        "gemma-3-12b-it-qat=vllm/0/4096",
        "gemma-3-12b-it-qat=vllm/4",
        "gemma-3-12b-it-qat",
    ],
)
def test_what_describes_no_deployed_model_stops_the_start(entries: str) -> None:
    with pytest.raises(ValueError, match="describes no deployed model"):
        CATALOGUE.as_deployed(entries)
