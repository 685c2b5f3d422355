"""The upkeep function: models as SageMaker says, and leases of dead processes."""

from __future__ import annotations

import pytest

from infra.local.context import Context
from tests.functions.leases import RESERVED, admit_lease
from tests.functions.loading import Functions, Handler, read_event
from tests.support.stack import MODEL, MODEL_NOT_SERVED, OpenedAccount, Stack

STATE_CHANGES = ["sagemaker_component_state_change", "sagemaker_endpoint_state_change"]


@pytest.fixture
def handler(functions: Functions) -> Handler:
    return functions.handler("UpkeepFunction")


def test_a_dead_lease_is_swept_once_as_lost_and_its_quota_comes_back(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context
) -> None:
    dead = admit_lease(stack, account, deadline_in_s=-1)
    assert stack.account_of(account).tokens_today == RESERVED
    assert handler(read_event("schedule_upkeep"), context)["swept"] == 1
    (record,) = stack.usage_records(account)
    assert (record["request_id"], record["status"], record["total_tokens"]) == (dead.request_id, "lost", 0)
    after = stack.account_of(account)
    assert (after.open, after.tokens_today) == ({}, 0)
    assert handler(read_event("schedule_upkeep"), context)["swept"] == 0
    assert len(stack.usage_records(account)) == 1


def test_a_living_lease_stays(stack: Stack, account: OpenedAccount, handler: Handler, context: Context) -> None:
    alive = admit_lease(stack, account, deadline_in_s=300)
    assert handler(read_event("schedule_upkeep"), context)["swept"] == 0
    assert set(stack.account_of(account).open) == {alive.request_id}


@pytest.mark.parametrize("event", ["schedule_upkeep", *STATE_CHANGES, *(f"{name}_bad" for name in STATE_CHANGES)])
def test_models_are_described_as_sagemaker_has_them(
    stack: Stack, handler: Handler, context: Context, event: str
) -> None:
    lines = stack.gateway.lines
    stack.run(lines.describe(MODEL, status="warming", copies=0, slots=0))
    stack.run(lines.describe(MODEL_NOT_SERVED, status="ready", copies=2, slots=26))
    models = handler(read_event(event), context)["models"]
    assert models[MODEL] == {"status": "ready", "copies": 1}
    assert models[MODEL_NOT_SERVED] == {"status": "off", "copies": 0}
    assert (stack.line(MODEL).status, stack.line(MODEL).slots) == ("ready", 4)
    assert (stack.line(MODEL_NOT_SERVED).status, stack.line(MODEL_NOT_SERVED).slots) == ("off", 0)


@pytest.mark.parametrize("event", ["schedule_upkeep", *STATE_CHANGES])
def test_an_event_delivered_again_changes_nothing(stack: Stack, handler: Handler, context: Context, event: str) -> None:
    first = handler(read_event(event), context)
    line = stack.line(MODEL)
    assert handler(read_event(f"{event}_duplicate"), context) == first | {"swept": 0}
    assert stack.line(MODEL) == line


@pytest.mark.parametrize("event", STATE_CHANGES)
def test_a_state_change_sweeps_nothing(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context, event: str
) -> None:
    admit_lease(stack, account, deadline_in_s=-1)
    assert handler(read_event(event), context)["swept"] == 0
    assert handler(read_event("schedule_upkeep"), context)["swept"] == 1


def test_slots_of_dead_processes_are_freed(stack: Stack, handler: Handler, context: Context) -> None:
    lines = stack.gateway.lines
    past_s = stack.gateway.clock.now_s() - 1
    stack.run(lines.describe(MODEL, status="ready", copies=1, slots=4))
    stack.run(lines.take(MODEL, request_id="dead", account_id="somebody", deadline_s=past_s))
    assert set(stack.line(MODEL).open) == {"dead"}
    handler(read_event("schedule_upkeep"), context)
    assert stack.line(MODEL).open == {}
