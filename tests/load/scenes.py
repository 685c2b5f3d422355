"""The scenes of a load run. Each gives plain numbers, and all that was wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import rss_mb
from benchmarks.processes import plain_environment, run
from tests.faults.nursery import JUMP_S
from tests.faults.processes import Process
from tests.faults.steps import Fault
from tests.faults.wire import Tap, Wire, run_tap
from tests.faults.world import MODEL, SLOTS, World
from tests.load.client import Caller, Told
from tests.support.ports import free_port
from tests.support.stack import OpenedAccount

Numbers = dict[str, Any]
PROMPT_TOKENS = 20
MUCH = 1_000_000
SERVICE = "dynamodb"


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much: streams and frames of the long scene, seconds of the others."""

    streams: int
    frames: int
    pause_ms: int
    overload_s: int
    overload_pause_ms: int
    throttle_s: int
    few: int = 20


FULL = Size(streams=500, frames=2000, pause_ms=150, overload_s=120, overload_pause_ms=200, throttle_s=30)
SMOKE = Size(streams=40, frames=60, pause_ms=100, overload_s=24, overload_pause_ms=100, throttle_s=15, few=8)


class Ground:
    """A world with the scripted upstream for its engine, one port for all its lives."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.engine_port = free_port()

    @contextmanager
    def engine(self) -> Iterator[int]:
        """The upstream's process until the end of the block."""
        environment = plain_environment(BENCH_PORT=str(self.engine_port))
        command = [sys.executable, "-m", "benchmarks.upstream"]
        with run(command, port=self.engine_port, environment=environment) as process:
            yield process.pid

    @contextmanager
    def chat(self, *, tap: Tap | None = None, **variables: str) -> Iterator[Process]:
        """The chat function before that engine until the end of the block."""
        url = f"http://127.0.0.1:{self.engine_port}"
        environment = {
            **self.world.environment("ChatFunction", tap),
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url,
            # not through moto, which shares this process with all clients
            "AWS_ENDPOINT_URL_DYNAMODB": tap.urls["dynamodb"] if tap else self.world.aws.dynamodb_url,
            **variables,
        }
        process = self.world.nursery.serve(Path(self.world.aws.functions["ChatFunction"].folder), environment)
        try:
            yield process
        finally:
            process.stop()

    def open_accounts(self, count: int) -> list[OpenedAccount]:
        """New accounts with no limit in the way."""
        return [self.world.open_account(max_open_requests=MUCH, requests_per_minute=MUCH) for _ in range(count)]

    def set_slots(self, slots: int) -> None:
        self.world.describe(MODEL, slots)

    def rest(self, accounts: Sequence[OpenedAccount], told: Sequence[Told]) -> Numbers:
        """What the books say when all is drained and swept, beside what clients were told."""
        drained = self.world.drain_outbox()
        swept = self.world.sweep()
        self.set_slots(SLOTS)
        wrongs, statuses, tokens = [], Counter[str](), 0
        for account in accounts:
            books = self.world.books(account)
            wrongs += [*books.wrongs({record["request_id"] for record in books.records})]
            statuses.update(record["status"] for record in books.records)
            tokens += sum(record["total_tokens"] for record in books.records if record["status"] == "ok")
        whole = [each for each in told if each.whole]
        if sum(each.tokens or 0 for each in whole) != tokens:
            wrongs.append(f"told {sum(each.tokens or 0 for each in whole)} tokens, billed {tokens}")
        held = set(self.world.holders().values()) & {account.id for account in accounts}
        if held:
            wrongs.append(f"{len(held)} accounts still hold a slot")
        return {"records": dict(sorted(statuses.items())), "outbox": drained, "swept": swept, "wrong": wrongs}


async def _together(callers: Sequence[Caller], *, apart_s: float = 0.0) -> list[Told]:
    asking = []
    for caller in callers:
        asking.append(asyncio.create_task(caller.ask()))
        await asyncio.sleep(apart_s)
    return [await task for task in asking]


async def _when_open(callers: Sequence[Caller], then: Callable[[], None]) -> list[Told]:
    """Asks all, and does something when all are answered with a status line."""
    opened = asyncio.Semaphore(0)
    asking = [
        asyncio.create_task(Caller(c.port, c.key, c.model, c.frames, c.pause_ms, opened.release).ask()) for c in callers
    ]
    for _ in callers:
        await opened.acquire()
    then()
    return [await task for task in asking]


def many_streams(ground: Ground, size: Size) -> Numbers:
    """Many streams for minutes: no frame lost, memory flat, every token billed."""
    accounts = ground.open_accounts(8)
    ground.set_slots(SLOTS)
    # five minutes of text: more than the minutes that an answer has where nothing else is set
    with ground.engine(), ground.chat(REQUEST_TIMEOUT_S="450") as chat:
        callers = [
            Caller(chat.port, accounts[number % 8].key, MODEL, size.frames, size.pause_ms)
            for number in range(size.streams)
        ]
        samples: list[float] = []

        async def watch() -> list[Told]:
            asking = asyncio.create_task(_together(callers, apart_s=0.02))
            while not asking.done():
                samples.append(rss_mb(chat.pid))
                await asyncio.sleep(0.25)
            return await asking

        told = asyncio.run(watch())
    began, ended = min(each.asked_s for each in told), max(each.ended_s for each in told)
    fifth = max(1, len(samples) // 5)
    expected = size.streams * size.frames
    frames = sum(each.frames for each in told)
    early, late = statistics.median(samples[fifth : 2 * fifth]), statistics.median(samples[3 * fifth : 4 * fifth])
    return {
        "streams": size.streams,
        "whole": sum(each.whole for each in told),
        "seconds": round(ended - began),
        "frames": frames,
        "frames_lost": expected - frames,
        "frames_per_s": round(frames / (ended - began)),
        "rss_early_mb": round(early, 1),
        "rss_late_mb": round(late, 1),
        "rss_growth_percent": round(100 * (late / early - 1), 2),
        **ground.rest(accounts, told),
    }


def overload(ground: Ground, size: Size) -> Numbers:
    """Five times what the slots can serve, by one account with much and one with little."""
    slots, frames, pause_ms = 4, 30, size.overload_pause_ms
    greedy, modest = accounts = ground.open_accounts(2)
    ground.set_slots(slots)
    with ground.engine(), ground.chat() as chat:

        async def closed_loop(until_s: float) -> list[Told]:
            caller, done = Caller(chat.port, greedy.key, MODEL, frames, pause_ms), []
            while time.monotonic() < until_s:
                done.append(await caller.ask())
            return done

        async def full() -> list[Told]:
            until_s = time.monotonic() + size.overload_s / 2
            loops = [closed_loop(until_s) for _ in range(slots)]
            return [each for done in await asyncio.gather(*loops) for each in done]

        alone = asyncio.run(full())
        per_s = len([each for each in alone if each.whole]) / (
            max(each.ended_s for each in alone) - min(each.asked_s for each in alone)
        )

        async def offer(key: str, rate: float, until_s: float) -> list[Told]:
            caller, asking = Caller(chat.port, key, MODEL, frames, pause_ms), []
            while time.monotonic() < until_s:
                asking.append(asyncio.create_task(caller.ask()))
                await asyncio.sleep(1 / rate)
            return [await task for task in asking]

        async def five_times() -> list[list[Told]]:
            until_s = time.monotonic() + size.overload_s
            return await asyncio.gather(
                offer(greedy.key, 4.4 * per_s, until_s), offer(modest.key, 0.6 * per_s, until_s)
            )

        by_account = asyncio.run(five_times())
    told = [each for some in by_account for each in some]
    first_s = min(each.asked_s for each in told)
    # the slots fill at first, and the line runs empty at last: neither is overload
    fill_s = 2 * frames * pause_ms / 1000
    served = [each for each in told if each.whole and first_s + fill_s <= each.ended_s <= first_s + size.overload_s]
    goodput = len(served) / (size.overload_s - fill_s)
    refused = [each for each in told if each.status != 200]
    times_ms = sorted(each.took_s * 1e3 for each in refused)
    modest_told = by_account[1]
    return {
        "slots": slots,
        "capacity_per_s": round(per_s, 2),
        "offered_per_s": round(len(told) / size.overload_s, 2),
        "goodput_per_s": round(goodput, 2),
        "goodput_percent": round(100 * goodput / per_s, 1),
        "refused": len(refused),
        "refused_by_reason": dict(Counter(f"{each.status} {each.reason}" for each in refused)),
        "refused_without_retry_after": sum(each.retry_after_s is None for each in refused),
        "refused_p50_ms": round(times_ms[len(times_ms) // 2], 1) if times_ms else None,
        "refused_p90_ms": round(times_ms[int(len(times_ms) * 0.9)], 1) if times_ms else None,
        "modest_offered": len(modest_told),
        "modest_served": sum(each.whole for each in modest_told),
        "cut": sum(each.status == 200 and not each.whole for each in told),
        **ground.rest(accounts, [*alone, *told]),
    }


def engine_failures(ground: Ground, size: Size) -> Numbers:
    """The engine hangs, goes on, dies, is away, and comes back."""
    accounts = ground.open_accounts(1)
    ground.set_slots(SLOTS)
    numbers: Numbers = {"streams": size.few}
    all_told: list[Told] = []

    def callers(chat: Process, frames: int = 200) -> list[Caller]:
        return [Caller(chat.port, accounts[0].key, MODEL, frames, 20)] * size.few

    def note(name: str, told: Sequence[Told]) -> None:
        numbers[name] = dict(Counter(each.error or each.reason or ("whole" if each.whole else "cut") for each in told))
        all_told.extend(told)

    with ground.chat(REQUEST_TIMEOUT_S="6") as chat:
        with ground.engine() as engine:
            note("hangs", asyncio.run(_when_open(callers(chat), lambda: os.kill(engine, signal.SIGSTOP))))
            os.kill(engine, signal.SIGCONT)
            note("goes on", asyncio.run(_together(callers(chat, 5))))
            note("dies", asyncio.run(_when_open(callers(chat), lambda: os.kill(engine, signal.SIGKILL))))
        note("is away", asyncio.run(_together(callers(chat, 5))))
        with ground.engine():
            note("is back", asyncio.run(_together(callers(chat, 5))))
    return {**numbers, **ground.rest(accounts, all_told)}


def throttled_table(ground: Ground, size: Size) -> Numbers:
    """The table throttles everything for a while: refusals are true, the outbox keeps what was served."""
    accounts = ground.open_accounts(2)
    ground.set_slots(SLOTS)
    world = ground.world
    upstreams = {"aws": world.aws.url, "sagemaker": world.sagemaker_url, "dynamodb": world.aws.dynamodb_url}
    with ground.engine(), run_tap(upstreams) as tap, ground.chat(tap=tap) as chat:
        wire = tap.wire = Wire()

        async def offer() -> list[Told]:
            asking = []
            throttle_s, healed_s = size.throttle_s / 3, size.throttle_s * 4 / 3
            began_s = time.monotonic()
            while (passed_s := time.monotonic() - began_s) < healed_s + throttle_s:
                if throttle_s <= passed_s < healed_s:
                    wire.begin(SERVICE, Fault.THROTTLE_ON)
                else:
                    wire.heal()
                key = accounts[len(asking) % 2].key
                asking.append(asyncio.create_task(Caller(chat.port, key, MODEL, 60, 50).ask()))
                await asyncio.sleep(0.5)
            return [await task for task in asking]

        told = asyncio.run(offer())
    refused = [each for each in told if each.status != 200]
    return {
        "throttled_s": size.throttle_s,
        "asked": len(told),
        "whole": sum(each.whole for each in told),
        "refused_by_reason": dict(Counter(f"{each.status} {each.reason}" for each in refused)),
        "refused_without_retry_after": sum(each.retry_after_s is None for each in refused),
        "refused_p50_s": round(statistics.median([each.took_s for each in refused]), 1) if refused else None,
        **ground.rest(accounts, told),
    }


def clock_jumps(ground: Ground, size: Size) -> Numbers:
    """The clock of the process jumps forward and back while streams are open."""
    accounts = ground.open_accounts(1)
    ground.set_slots(SLOTS)
    numbers: Numbers = {"streams": size.few, "jump_s": JUMP_S}
    all_told: list[Told] = []
    with ground.engine(), ground.chat() as chat:
        callers = [Caller(chat.port, accounts[0].key, MODEL, 60, 50)] * size.few
        for name, number in (("whole_after_forward", signal.SIGUSR1), ("whole_after_back", signal.SIGUSR2)):
            told = asyncio.run(_when_open(callers, lambda number=number: chat.signal(number)))
            numbers[name] = sum(each.whole for each in told)
            all_told += told
    return {**numbers, **ground.rest(accounts, all_told)}


def graceful_stop(ground: Ground, size: Size) -> Numbers:
    """SIGTERM with open streams: they are finished, newcomers are refused."""
    accounts = ground.open_accounts(1)
    ground.set_slots(SLOTS)
    with ground.engine(), ground.chat() as chat:
        caller = Caller(chat.port, accounts[0].key, MODEL, 60, 50)

        async def stop() -> tuple[list[Told], list[Told]]:
            told_to_stop = asyncio.Event()

            def end() -> None:
                chat.signal(signal.SIGTERM)
                told_to_stop.set()

            async def come_late() -> list[Told]:
                await told_to_stop.wait()
                while _listens(chat.port):  # the signal is on its way
                    await asyncio.sleep(0.02)
                return await _together([caller] * size.few)

            served, late = await asyncio.gather(_when_open([caller] * size.few, end), come_late())
            return served, late

        served, late = asyncio.run(stop())
        chat.wait()
    return {
        "streams": size.few,
        "whole": sum(each.whole for each in served),
        "newcomers": len(late),
        "newcomers_refused": sum(each.status == 0 for each in late),
        **ground.rest(accounts, [*served, *late]),
    }


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def kill(ground: Ground, size: Size) -> Numbers:
    """SIGKILL with open streams: nothing delivered by a dead process is billed, nothing stays reserved."""
    accounts = ground.open_accounts(1)
    ground.set_slots(SLOTS)
    with ground.engine(), ground.chat() as chat:
        callers = [Caller(chat.port, accounts[0].key, MODEL, 60, 50)] * size.few
        told = asyncio.run(_when_open(callers, chat.kill))
    return {"streams": size.few, "whole": sum(each.whole for each in told), **ground.rest(accounts, told)}


SCENES = (many_streams, overload, engine_failures, throttled_table, clock_jumps, graceful_stop, kill)
