"""The world stops at every step of a request in turn. Whatever happens: one record for each admitted request, counters
equal to the records' sums, no lease left, quota given back, and nobody was told what is not so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.faces import (
    BufferedFace,
    Case,
    CrowdedFace,
    Face,
    HttpFace,
    LineFace,
    OutboxFace,
    QueuedFace,
    event_of,
    submit_job,
)
from tests.faults.run import Outcome, break_everything, come_to_rest, record, wrongs_of
from tests.faults.steps import ADMIT, DEPARTURES, FRAME, INVOKE, KILLS, LASTING, PASSING, SETTLE, Fault
from tests.faults.wire import Wire
from tests.faults.world import LINE_MODEL, World

Shown = Callable[[str, Outcome], None]
pytestmark = pytest.mark.timeout(900)

STREAMED = HttpFace("streamed", stream=True)
OUTBOX = OutboxFace("outbox", stream=True)
LINE = LineFace("line", model=LINE_MODEL, stream=True)
FACES: list[Face] = [STREAMED, BufferedFace("buffered", n=2), LINE, CrowdedFace("crowded"), QueuedFace(), OUTBOX]
WITH_CLIENT = [face for face in FACES if face.client]
LANES = 4
WAITING_LANES = 8
"""What only waits for a service that does not answer can wait beside much else."""


def lanes_of(face: Face, lanes: int = LANES) -> int:
    """The line's cases go one after the other: they share the line."""
    return 1 if face is LINE else lanes


def name_of(face: Face) -> str:
    return face.name


def test_a_clean_run_has_the_steps_that_there_are_to_break(world: World) -> None:
    labels = [step.label for step in record(world, STREAMED)]
    assert set(labels) == {ADMIT, "UpdateItem MODEL", INVOKE, FRAME, SETTLE}
    assert labels.count("UpdateItem MODEL") == 2, "the slot is taken and given back"


@pytest.mark.parametrize("face", FACES, ids=name_of)
def test_a_process_killed_at_any_step_leaves_the_books_right(world: World, shown: Shown, face: Face) -> None:
    shown(f"{face.name}: killed", break_everything(world, face, KILLS, lanes=lanes_of(face)))


@pytest.mark.parametrize("face", FACES, ids=name_of)
def test_a_failure_that_passes_at_any_step_leaves_the_books_right(world: World, shown: Shown, face: Face) -> None:
    shown(f"{face.name}: cut, throttled, twice", break_everything(world, face, PASSING, lanes=lanes_of(face)))


@pytest.mark.parametrize("face", FACES, ids=name_of)
def test_a_service_that_fails_from_any_step_on_leaves_the_books_right(world: World, shown: Shown, face: Face) -> None:
    outcome = break_everything(world, face, LASTING, lanes=lanes_of(face, WAITING_LANES))
    shown(f"{face.name}: out of reach", outcome)


@pytest.mark.parametrize("face", WITH_CLIENT, ids=name_of)
def test_a_client_that_leaves_at_any_step_leaves_the_books_right(world: World, shown: Shown, face: Face) -> None:
    shown(f"{face.name}: client gone", break_everything(world, face, DEPARTURES, lanes=lanes_of(face)))


def test_a_write_whose_answer_never_comes_leaves_the_books_right(world: World, shown: Shown) -> None:
    outcome = break_everything(world, STREAMED, frozenset({Fault.LATE}), lanes=WAITING_LANES)
    shown("streamed: no answer", outcome)


def test_an_outbox_that_drains_after_the_sweep_leaves_the_books_right(world: World, shown: Shown) -> None:
    outcome = break_everything(world, OUTBOX, PASSING, order="sweep first")
    shown("outbox after the sweep", outcome)
    assert set(outcome.records) == {"lost"}, "who was swept is billed nothing, however late its settlement comes"


def test_a_job_delivered_to_two_workers_at_once_is_billed_once(world: World) -> None:
    account = world.open_account()
    job = submit_job(world, account)
    cases = [Case("twice at once", account, Wire(reached=True), job_id=job) for _ in range(2)]
    deliveries = [world.call("WorkerFunction", event_of(case)) for case in cases]
    assert [process.wait() for process in deliveries] == [{"batchItemFailures": []}] * 2
    come_to_rest(world, cases[:1])
    assert [*wrongs_of(cases[0], world.books(account), order="outbox first")] == []
