"""The line under load: the real queueing code, many accounts, a burst, crashes and slow answers, in virtual time.

Two orders are compared: the fair one that is served, and the plain one, first come first served over all accounts.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from statistics import quantiles
from typing import Any

from gateway.application.queueing import Queue
from gateway.domain.errors import ServiceUnavailable
from gateway.domain.line import Line, Waiter

from benchmarks.virtual_time import VirtualClock, run_virtually
from tests.support.fake_lines import FakeLines

MODEL = "model"
WRITES = ("take", "join", "take_turn", "leave")
READS = ("look",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What happens. Times in seconds; `load` is the share of the slots that the steady accounts keep busy."""

    slots: int = 8
    steady_accounts: int = 12
    load: float = 0.7
    service_s: float = 6.0
    slow_share: float = 0.05
    slow_s: float = 30.0
    crash_share: float = 0.01
    hold_s: float = 60.0
    wait_s: float = 20.0
    call_s: float = 0.005
    lasts_s: float = 3600.0
    burst_every_s: float = 300.0
    burst: int = 32
    """Requests of one account within a second: as many as a pro account may have open."""
    seed: int = 20261123


@dataclass(slots=True)
class Seen:
    """What came of it. `waits_s` are of requests that had a slot in the end; refused ones are counted apart."""

    waits_s: dict[str, list[float]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    most_running: int = 0
    dead: int = 0
    longest_dead_s: float = 0.0
    """The longest that somebody waited beside a dead process's slot whose lease was over."""
    left_over: int = 0
    """Who held or waited when all was over."""

    @property
    def steady_waits_s(self) -> list[float]:
        """The waits of every account but the one that bursts."""
        return [wait for account, waits in self.waits_s.items() if account != "burst" for wait in waits]

    @property
    def served(self) -> int:
        """Requests that had a slot."""
        return sum(len(waits) for waits in self.waits_s.values())


class PlainLine(Line):
    """A line without fairness."""

    def order(self, now_s: float) -> list[Waiter]:
        """First come, first served, whoever asks."""
        alive = [waiter for waiter in self.waiting.values() if waiter.deadline_s > now_s]
        return sorted(alive, key=lambda waiter: (waiter.rank, waiter.since_s, waiter.request_id))


class RemoteLines:
    """Lines a call away: each takes its time and is counted."""

    def __init__(self, lines: FakeLines, *, call_s: float, fair: bool, calls: Counter[str]) -> None:
        self._lines = lines
        self._call_s = call_s
        self._fair = fair
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._lines, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            self._calls[name] += 1
            await asyncio.sleep(self._call_s)
            result = await operation(*arguments, **options)
            if isinstance(result, Line) and not self._fair:
                return PlainLine(**{each.name: getattr(result, each.name) for each in fields(Line)})
            return result

        return call


class Simulation:
    """One run."""

    def __init__(self, scene: Scene, *, fair: bool) -> None:
        self._scene = scene
        self._random = random.Random(scene.seed)
        self._clock = VirtualClock(scene.seed)
        self._lines = FakeLines()
        self._seen = Seen()
        remote: Any = RemoteLines(self._lines, call_s=scene.call_s, fair=fair, calls=self._seen.calls)
        self._remote = remote
        self._queue = Queue(remote, self._clock, wait_s=scene.wait_s)
        self._running = 0
        self._dead_until: dict[str, float] = {}

    async def run(self) -> Seen:
        """Plays the scene to its end, and until the line is empty."""
        scene = self._scene
        await self._lines.describe(MODEL, status="ready", copies=1, slots=scene.slots)
        self._lines.on_look = self._watch_dead
        async with asyncio.TaskGroup() as group:
            for at_s, account, served_s in self._arrivals():
                group.create_task(self._ask(at_s, account, served_s=served_s))
        await self._sweep()
        line = await self._lines.look(MODEL)
        self._seen.left_over = len(line.open) + len(line.waiting)
        return self._seen

    def _arrivals(self) -> list[tuple[float, str, float]]:
        scene = self._scene
        mean_s = (1 - scene.slow_share) * scene.service_s + scene.slow_share * scene.slow_s
        each_per_s = scene.load * scene.slots / mean_s / scene.steady_accounts
        arrivals = []
        for number in range(scene.steady_accounts):
            at_s = self._random.expovariate(each_per_s)
            while at_s < scene.lasts_s:
                arrivals.append((at_s, f"account {number + 1}", self._service_s()))
                at_s += self._random.expovariate(each_per_s)
        at_s = scene.burst_every_s
        while at_s < scene.lasts_s:
            arrivals += [(at_s + self._random.random(), "burst", self._service_s()) for _ in range(scene.burst)]
            at_s += scene.burst_every_s
        return sorted(arrivals)

    def _service_s(self) -> float:
        mean_s = self._scene.slow_s if self._random.random() < self._scene.slow_share else self._scene.service_s
        return min(self._scene.hold_s - 5, self._random.gammavariate(4, mean_s / 4))

    async def _ask(self, at_s: float, account: str, *, served_s: float) -> None:
        scene, seen = self._scene, self._seen
        crashes = self._random.random() < scene.crash_share
        await asyncio.sleep(at_s)
        seen.asked[account] += 1
        request_id = f"{account}/{seen.asked[account]}"
        try:
            await self._queue.enter(MODEL, request_id=request_id, account_id=account, hold_s=scene.hold_s)
        except ServiceUnavailable:
            seen.refused[account] += 1
            return
        now_s = self._clock.now_s()
        seen.waits_s.setdefault(account, []).append(now_s - at_s)
        self._running += 1
        seen.most_running = max(seen.most_running, self._running)
        await asyncio.sleep(served_s)
        self._running -= 1
        if crashes:
            seen.dead += 1
            self._dead_until[request_id] = (await self._lines.look(MODEL)).open[request_id].deadline_s
            return
        with suppress(ServiceUnavailable):
            await self._remote.leave(MODEL, request_id, served_s=served_s)

    def _watch_dead(self) -> None:
        """At each look: the slots that dead processes still hold past their lease, while somebody waits."""
        line = self._lines._line(MODEL)
        waiting_since_s = min((waiter.since_s for waiter in line.waiting.values()), default=self._clock.now_s())
        for request_id, deadline_s in list(self._dead_until.items()):
            if request_id not in line.open:
                del self._dead_until[request_id]
                continue
            late_s = self._clock.now_s() - max(deadline_s, waiting_since_s)
            self._seen.longest_dead_s = max(self._seen.longest_dead_s, late_s)

    async def _sweep(self) -> None:
        """What upkeep does every minute: at the end nobody is there who would meet the last dead."""
        await asyncio.sleep(self._scene.hold_s)
        line = await self._lines.look(MODEL)
        await self._lines.remove_dead(line, now_s=self._clock.now_s())


def simulate(scene: Scene, *, fair: bool = True) -> Seen:
    """What is seen of a scene, under the fair order or the plain one. The same each time."""
    return run_virtually(Simulation(scene, fair=fair).run())


def percentile(values: list[float], percent: int) -> float:
    """A percentile of at least two values, seconds."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def calls_of_a_request(seen: Seen) -> Mapping[str, float]:
    """Writes and reads of the model's item for each request that was served or refused."""
    asked = sum(seen.asked.values())
    return {
        "writes": sum(seen.calls[name] for name in WRITES) / asked,
        "reads": sum(seen.calls[name] for name in READS) / asked,
    }
