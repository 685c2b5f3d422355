"""State machines that play a real store against one kept on paper."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.contract.conftest import Store, aws_store, fake_store

Run = Callable[[Awaitable[Any]], Any]
"""Runs a step on the one event loop of a machine's life."""

on_every_store = pytest.mark.parametrize(("where", "examples", "steps"), [("fake", 100, 40), ("aws", 10, 30)])


def play(
    request: pytest.FixtureRequest,
    new_machine: Callable[[Store, Run], RuleBasedStateMachine],
    *,
    where: str,
    examples: int,
    steps: int,
) -> None:
    """Plays so many games of so many steps, each on a store of its own."""

    def new_store() -> Store:
        if where == "fake":
            return fake_store()
        return aws_store(request.getfixturevalue("aws"), request.getfixturevalue("clients"))

    with closing(asyncio.new_event_loop()) as loop:
        run_state_machine_as_test(
            lambda: new_machine(new_store(), loop.run_until_complete),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                # a failure is told as it was found: on a table, making it smaller takes longer than reading it
                phases=[Phase.reuse, Phase.generate],
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
