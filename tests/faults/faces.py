"""The faces of a generation, each asked for once with something going wrong, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.application.enqueueing import JobRequest
from gateway.application.upkeep import WatchModels
from gateway.domain.usage import Lease

from tests.faults.client import Answer, Client
from tests.faults.steps import DEPARTURES, SETTLE, Fault, Step
from tests.faults.wire import Wire
from tests.faults.world import LINE_MODEL, MODEL, PAST_THE_LEASES_S, SLOTS, Lane, World
from tests.support.clock import ManualClock
from tests.support.stack import OpenedAccount

_MESSAGES = [{"role": "user", "content": "Count to two."}]


@dataclass
class Case:
    """One request, and what came of it."""

    face: str
    account: OpenedAccount
    wire: Wire
    answer: Answer | None = None
    job_id: str | None = None
    admitted_before: set[str] = field(default_factory=set)

    @property
    def was_killed(self) -> bool:
        return self.wire.reached and self.wire.fault in (Fault.KILL_BEFORE, Fault.KILL_AFTER)

    def __str__(self) -> str:
        return f"{self.face}: {self.wire.fault} {self.wire.step}" if self.wire.fault else f"{self.face}: nothing"


class HttpFace:
    """A request of a client to the chat function."""

    client = True

    def __init__(self, name: str, *, model: str = MODEL, **body: Any) -> None:
        self.name = name
        self._body = {"model": model, "messages": _MESSAGES, "max_tokens": 20, **body}

    def has(self, step: Step) -> bool:
        """Whether a step of a clean run is one of this face's own, and not already another's."""
        return True

    def run(self, lane: Lane, step: Step | None, fault: Fault | None) -> Case:
        """Asks once. When this returns, the gateway has done all that it will do about it, or is dead."""
        process = lane.chat()
        account = lane.world.open_account(max_open_requests=1)
        client = Client(process.port, account.authorization, self._body)
        wire = Wire(step, fault, kill=process.kill, leave=client.leave)
        case = Case(self.name, account, wire)
        self.prepare(lane.world, case)
        lane.tap.wire = wire
        case.answer = client.ask()
        if case.was_killed:
            process.wait()
        if wire.fault in DEPARTURES:
            process.stop()
        self.tidy(lane.world, case)
        return case

    def prepare(self, world: World, case: Case) -> None:
        """How things stand when the request comes."""

    def tidy(self, world: World, case: Case) -> None:
        """What the next request of this face must not find."""


class BufferedFace(HttpFace):
    """A whole answer of two choices."""

    def has(self, step: Step) -> bool:
        return not step.is_frame or step.number % 3 == 0


class OutboxFace(HttpFace):
    """The table takes no settlement of it."""

    def has(self, step: Step) -> bool:
        return step.label.startswith("SendMessage")

    def prepare(self, world: World, case: Case) -> None:
        case.wire.also[SETTLE] = Fault.THROTTLE


class LineFace(HttpFace):
    """All slots of its model are taken, until the first look at the line."""

    def has(self, step: Step) -> bool:
        # a waiter looks as often as it takes
        return step.label.endswith("MODEL") and (not step.label.startswith("GetItem") or step.number == 1)

    def prepare(self, world: World, case: Case) -> None:
        lines, blocker = world.gateway.lines, f"blocker-{case.account.id}"
        world.describe(LINE_MODEL, SLOTS)
        taking = lines.take(LINE_MODEL, request_id=blocker, account_id="blocker", deadline_s=4e9)
        assert world.run(taking) is None
        world.describe(LINE_MODEL, 1)
        case.wire.on_call["GetItem MODEL"] = lambda: world.run(lines.leave(LINE_MODEL, blocker))

    def tidy(self, world: World, case: Case) -> None:
        """The dead of this line would stand before the next: upkeep finds them when they are over."""
        gateway, clock = world.gateway, ManualClock(world.gateway.clock.now_s() + PAST_THE_LEASES_S)
        world.run(gateway.lines.leave(LINE_MODEL, f"blocker-{case.account.id}"))
        watch = WatchModels(gateway.catalogue, gateway.fleet, gateway.lines, gateway.bus, clock)
        world.run(watch([gateway.catalogue.models[LINE_MODEL]]))


class CrowdedFace(HttpFace):
    """The lease of a dead request takes the account's only place."""

    def has(self, step: Step) -> bool:
        return not step.is_frame

    def prepare(self, world: World, case: Case) -> None:
        now_s, key = int(world.gateway.clock.now_s()), world.key_of(case.account)
        dead = Lease(
            request_id=f"dead-{case.account.id}",
            account_id=key.account_id,
            key_id=key.key_id,
            model=MODEL,
            endpoint="/v1/chat/completions",
            reserved_tokens=50,
            admitted_s=now_s - 400,
            deadline_s=now_s - 1,
        )
        world.run(world.gateway.ledger.admit(dead, key_hash=key.hash))
        case.admitted_before.add(dead.request_id)


class QueuedFace:
    """A job that the worker runs when its message is delivered."""

    client = False
    name = "queued"

    def has(self, step: Step) -> bool:
        """Frames are those of a whole answer."""
        return not step.is_frame or step.number % 3 == 0

    def run(self, lane: Lane, step: Step | None, fault: Fault | None) -> Case:
        """The first delivery of the job's message."""
        world = lane.world
        account = world.open_account(max_open_requests=1)
        wire = Wire(step, fault)
        lane.tap.wire = wire
        case = Case(self.name, account, wire, job_id=submit_job(world, account))
        process = world.call("WorkerFunction", event_of(case), tap=lane.tap)
        wire.kill = process.kill
        process.wait()
        return case


def submit_job(world: World, account: OpenedAccount) -> str:
    """The id of a new job of this account."""
    body = {"model": MODEL, "messages": _MESSAGES, "max_tokens": 20}
    return world.run(world.gateway.enqueue.submit(JobRequest(body=body), key=world.key_of(account))).ref.job_id


def event_of(case: Case) -> dict[str, Any]:
    """The event that delivers a job's message."""
    return {"Records": list(_records(case))}


def _records(case: Case) -> Iterator[dict[str, Any]]:
    body = f'{{"account_id": "{case.account.id}", "job_id": "{case.job_id}"}}'
    yield {
        "messageId": f"message-{case.job_id}",
        "receiptHandle": "receipt",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:studiolm-jobs-gemma-3-4b-it-qat",
        "awsRegion": "us-east-1",
    }


Face = HttpFace | QueuedFace
