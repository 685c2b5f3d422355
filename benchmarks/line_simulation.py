"""The line under load: the real queueing code, many accounts, a burst, crashes and slow answers, in virtual time.

Two orders are compared: the fair one that is served, and the plain one, first come first served over all accounts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any

from gateway.application.queueing import Queue
from gateway.application.upkeep import WatchModels
from gateway.catalogue import load_catalogue
from gateway.domain.errors import ServiceUnavailable
from gateway.domain.line import Line, Waiter

from benchmarks.line_seen import BURST, Fate, Seen
from benchmarks.virtual_time import VirtualClock, run_virtually
from tests.support.fake_lines import FakeLines
from tests.support.fakes import FakeBus, FakeFleet

MODEL = "smollm2-135m-instruct"
UPKEEP_EVERY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What happens. Times in seconds; `load` is the share of the slots that the steady accounts keep busy."""

    slots: int = 8
    steady_accounts: int = 12
    load: float = 0.7
    service_s: float = 6.0
    shape: float = 4.0
    """How alike the answers are: gamma's shape; 1 is exponential, 4 half as spread."""
    slow_share: float = 0.05
    slow_s: float = 30.0
    crash_share: float = 0.01
    hold_s: float = 60.0
    wait_s: float = 20.0
    waiting_per_slot: int = 4
    call_s: float = 0.005
    lasts_s: float = 3600.0
    burst_every_s: float = 300.0
    burst: int = 32
    """Requests of one account within a second: as many as a pro account may have open."""
    seed: int = 20261123

    @property
    def bursts_s(self) -> list[float]:
        """When the bursts begin."""
        count = int((self.lasts_s - 1) // self.burst_every_s)
        return [self.burst_every_s * (number + 1) for number in range(count)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrival:
    at_s: float
    account: str
    served_s: float
    crashes: bool


class PlainLine(Line):
    """A line without fairness."""

    def order(self, now_s: float) -> list[Waiter]:
        """First come, first served, whoever asks."""
        alive = [waiter for waiter in self.waiting.values() if waiter.deadline_s > now_s]
        return sorted(alive, key=lambda waiter: (waiter.rank, waiter.since_s, waiter.request_id))


class RemoteLines:
    """Lines a call away: each takes its time, is counted, and is told of before and after it."""

    def __init__(self, lines: FakeLines, *, call_s: float, fair: bool, told: Callable[..., None]) -> None:
        self._lines = lines
        self._call_s = call_s
        self._fair = fair
        self._told = told

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._lines, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            await asyncio.sleep(self._call_s)
            self._told(name, arguments, done=False)
            result = await operation(*arguments, **options)
            self._told(name, arguments, done=True)
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
        self._remote: Any = RemoteLines(self._lines, call_s=scene.call_s, fair=fair, told=self._watch)
        self._queue = Queue(self._remote, self._clock, wait_s=scene.wait_s, max_waiting_per_slot=scene.waiting_per_slot)
        self._running = 0
        self._dead_until: dict[str, float] = {}
        self._idle_since_s = 0.0

    async def run(self) -> Seen:
        """Plays the scene to its end, and until the line is empty."""
        upkeep = self._upkeep()
        await upkeep()
        keeping = asyncio.create_task(self._keep(upkeep))
        asked: dict[str, int] = {}
        async with asyncio.TaskGroup() as group:
            for arrival in self._arrivals():
                asked[arrival.account] = asked.get(arrival.account, 0) + 1
                group.create_task(self._ask(f"{arrival.account}/{asked[arrival.account]}", arrival))
        await asyncio.sleep(self._scene.hold_s + UPKEEP_EVERY_S)
        keeping.cancel()
        line = self._line()
        self._seen.left_over = len(line.open) + len(line.waiting)
        return self._seen

    def _upkeep(self) -> WatchModels:
        """The model with one copy that has as many slots as the scene."""
        catalogue = load_catalogue()
        model = replace(catalogue.models[MODEL], slots_per_copy=self._scene.slots)
        fleet = FakeFleet()
        fleet.place(model, copies=1)
        return WatchModels(replace(catalogue, models={MODEL: model}), fleet, self._remote, FakeBus(), self._clock)

    async def _keep(self, upkeep: WatchModels) -> None:
        while True:
            await asyncio.sleep(UPKEEP_EVERY_S)
            await upkeep()

    def _arrivals(self) -> list[_Arrival]:
        """Steady accounts first, so that they ask for the same with and without bursts."""
        scene = self._scene
        mean_s = (1 - scene.slow_share) * scene.service_s + scene.slow_share * scene.slow_s
        each_per_s = scene.load * scene.slots / mean_s / scene.steady_accounts
        arrivals = []
        for number in range(scene.steady_accounts):
            at_s = self._random.expovariate(each_per_s)
            while at_s < scene.lasts_s:
                arrivals.append(self._arrival(at_s, f"account {number + 1}"))
                at_s += self._random.expovariate(each_per_s)
        for begin_s in scene.bursts_s:
            arrivals += [self._arrival(begin_s + self._random.random(), BURST) for _ in range(scene.burst)]
        return sorted(arrivals, key=lambda arrival: arrival.at_s)

    def _arrival(self, at_s: float, account: str) -> _Arrival:
        scene = self._scene
        mean_s = scene.slow_s if self._random.random() < scene.slow_share else scene.service_s
        served_s = min(scene.hold_s - 5, self._random.gammavariate(scene.shape, mean_s / scene.shape))
        crashes = self._random.random() < scene.crash_share
        return _Arrival(at_s=at_s, account=account, served_s=served_s, crashes=crashes)

    async def _ask(self, request_id: str, arrival: _Arrival) -> None:
        scene, seen = self._scene, self._seen
        await asyncio.sleep(arrival.at_s)
        fate = Fate(account=arrival.account, at_s=arrival.at_s, waited_s=0.0)
        try:
            await self._queue.enter(MODEL, request_id=request_id, account_id=arrival.account, hold_s=scene.hold_s)
        except ServiceUnavailable as refusal:
            waited_s = self._clock.now_s() - arrival.at_s
            told = {"refused": refusal.reason, "retry_after_s": refusal.retry_after_s}
            seen.fates[request_id] = replace(fate, waited_s=waited_s, **told)
            return
        seen.fates[request_id] = replace(fate, waited_s=self._clock.now_s() - arrival.at_s)
        self._running += 1
        seen.most_running = max(seen.most_running, self._running)
        await asyncio.sleep(arrival.served_s)
        self._running -= 1
        if arrival.crashes:
            seen.dead += 1
            self._dead_until[request_id] = self._line().open[request_id].deadline_s
            return
        with suppress(ServiceUnavailable):
            await self._remote.leave(MODEL, request_id, served_s=arrival.served_s)

    def _line(self) -> Line:
        return self._lines.line(MODEL)

    def _watch(self, name: str, arguments: tuple[Any, ...], *, done: bool) -> None:
        line, now_s = self._line(), self._clock.now_s()
        if not done:
            self._seen.calls[name] += 1
            self._seen.idle_s += min(max(0, line.slots - len(line.open)), len(line.waiting)) * (
                now_s - self._idle_since_s
            )
            self._idle_since_s = now_s
            if name == "join":
                self._seen.expected_s[arguments[1].request_id] = line.expected_wait_s()
        elif name == "remove_dead":
            self._watch_dead(line, now_s)

    def _watch_dead(self, line: Line, now_s: float) -> None:
        waiting_since_s = min((waiter.since_s for waiter in line.waiting.values()), default=now_s)
        for request_id, deadline_s in list(self._dead_until.items()):
            if request_id in line.open:
                continue
            del self._dead_until[request_id]
            seen = self._seen
            seen.longest_dead_s = max(seen.longest_dead_s, now_s - deadline_s)
            late_s = now_s - max(deadline_s, waiting_since_s)
            seen.longest_dead_before_a_waiter_s = max(seen.longest_dead_before_a_waiter_s, late_s)


def simulate(scene: Scene, *, fair: bool = True) -> Seen:
    """What is seen of a scene, under the fair order or the plain one. The same each time."""
    return run_virtually(Simulation(scene, fair=fair).run())
