"""All faults at all steps of a face: the steps from one clean run, the cases beside each other, one aftermath."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Literal

from tests.faults.faces import Case, Face, event_of
from tests.faults.judge import Books
from tests.faults.steps import FRAME, INVOKE, Fault, Step, faults_of
from tests.faults.world import MODEL, SLOTS, Lane, World, open_lane

LANES = int(os.environ.get("FAULT_LANES", "4"))
Order = Literal["outbox first", "sweep first"]


@dataclass
class Outcome:
    """What came of a face: the steps of its clean run, how many cases there were, and all that was wrong."""

    steps: list[Step]
    cases: int = 0
    admitted: int = 0
    records: Counter[str] = field(default_factory=Counter)
    wrongs: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """What is told of it."""
        return {
            "steps": [str(step) for step in self.steps],
            "cases": self.cases,
            "admitted": self.admitted,
            "records": dict(sorted(self.records.items())),
        }


def record(world: World, face: Face) -> list[Step]:
    """The face's own steps of one run in which nothing goes wrong."""
    with open_lane(world) as lane:
        case = face.run(lane, None, None)
    return [step for step in case.wire.steps if face.has(step)]


def break_everything(
    world: World, face: Face, faults: frozenset[Fault], *, order: Order = "outbox first", lanes: int = LANES
) -> Outcome:
    """Every one of these faults at every step of the face that it can happen to."""
    world.describe(MODEL, SLOTS)  # upkeep counts its copies, and what was killed holds slots until upkeep comes
    steps = record(world, face)
    plans = [(step, fault) for step in steps for fault in faults_of(step, client=face.client) if fault in faults]
    assert plans, f"{face.name} has no step for {sorted(faults)}"
    cases = _run_all(world, face, plans, lanes=lanes)
    come_to_rest(world, cases, order=order)
    outcome = Outcome(steps, cases=len(cases))
    holders = set(world.holders().values())
    for case in cases:
        books = world.books(case.account)
        outcome.admitted += len(case.wire.admitted)
        outcome.records.update(record["status"] for record in books.records)
        wrongs = [*wrongs_of(case, books, order=order)]
        if case.account.id in holders:
            wrongs.append("a slot or a place in the line is left")
        outcome.wrongs += [f"{case}: {wrong}" for wrong in wrongs]
    return outcome


def _run_all(world: World, face: Face, plans: Sequence[tuple[Step, Fault]], *, lanes: int) -> list[Case]:
    with ExitStack() as stack:
        free: SimpleQueue[Lane] = SimpleQueue()
        for _ in range(lanes):
            free.put(stack.enter_context(open_lane(world)))

        def run(plan: tuple[Step, Fault]) -> Case:
            lane = free.get()
            try:
                return face.run(lane, *plan)
            finally:
                free.put(lane)

        with ThreadPoolExecutor(lanes) as threads:
            return list(threads.map(run, plans))


def come_to_rest(world: World, cases: Sequence[Case], *, order: Order = "outbox first") -> None:
    """What AWS does by itself when nothing fails any more: deliver again, drain the outbox, tick."""
    jobs = [case for case in cases if case.job_id]
    for case in jobs:  # as SQS does with a message whose delivery failed; a live claim only postpones it
        assert world.call("WorkerFunction", event_of(case)).wait() is not None
    if order == "outbox first":
        world.drain_outbox(times=2)
        world.sweep()
    else:
        world.sweep()
        world.drain_outbox(times=2)
    for case in jobs:
        world.end_claim(case.account, case.job_id or "")
        assert world.call("WorkerFunction", event_of(case)).wait() is not None
    if jobs:
        world.drain_outbox()
        world.sweep()
    assert world.sweep() == 0, "a second sweep finds nothing"


def wrongs_of(case: Case, books: Books, *, order: Order) -> Iterator[str]:
    """What is wrong with a case that has come to rest."""
    if not case.wire.reached:
        yield f"the step was not reached; there were {[str(step) for step in case.wire.steps]}"
    if case.job_id:
        yield from _wrongs_of_job(case, books)
    else:
        yield from books.wrongs(case.wire.admitted | case.admitted_before)
        yield from _wrongs_of_answer(case, books, order=order)


def _wrongs_of_job(case: Case, books: Books) -> Iterator[str]:
    """A job may be admitted by each delivery that ran it; it is billed once, or not at all where the engine failed."""
    (job,) = books.jobs
    billed = [record for record in books.records if record["total_tokens"]]
    engine_failed = case.wire.step is not None and case.wire.step.label in (FRAME, INVOKE)
    ended = (job["status"], len(billed))
    if ended != ("succeeded", 1) and not (engine_failed and ended == ("failed", 0)):
        yield f"the job is {job['status']} after all, and was billed {len(billed)} times"
    yield from books.wrongs(case.wire.admitted | {record["request_id"] for record in books.records})


def _wrongs_of_answer(case: Case, books: Books, *, order: Order) -> Iterator[str]:
    """Who was told a whole answer pays what it told; who was told an error, or nothing, was told the truth."""
    answer = case.answer
    assert answer is not None
    own = [record for record in books.records if record["request_id"] not in case.admitted_before]
    status = own[0]["status"] if own else None
    # of what neither the table nor the outbox takes, nothing is left but the lease
    nobody_takes_it = bool(case.wire.also) and case.wire.fault in (Fault.OUT, Fault.THROTTLE_ON)
    lost_may_be = case.was_killed or nobody_takes_it or order == "sweep first"
    excused = answer.told_tokens is None or (lost_may_be and status == "lost")
    if not excused and (not own or own[0]["total_tokens"] != answer.told_tokens):
        yield f"told {answer.told_tokens} tokens, recorded {own}"
    if case.was_killed or case.wire.fault in (Fault.LEAVE_BEFORE, Fault.LEAVE_AFTER):
        return
    if not answer.whole and answer.error is None:
        yield f"an answer that is neither whole nor an error: {answer.status} {answer.body[-200:]!r}"
    if answer.status != 200 and status not in (None, "failed", "lost"):
        yield f"answered {answer.status}, recorded {own}"
    if answer.status not in (200, 500, 503, 504):
        yield f"answered {answer.status} {answer.body[:300]!r}"
