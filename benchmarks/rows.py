"""The measurements. Each gives plain numbers; the ratios and the words are the report's."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any
from urllib.request import urlopen

from benchmarks.client import Line, Target, Timing, WrongAnswer, drive
from benchmarks.machine import cpu_s, rss_mb
from benchmarks.processes import Running
from benchmarks.upstream import ENGINE_CALL

Numbers = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured. `rounds` runs of each row go in turns over the targets: a busy minute hits all of them."""

    rounds: int
    one_by_one: int
    requests: int
    opens: Sequence[int]
    frames: int
    streams: int
    many_streams: int
    soak_frames: int
    cold_starts: int


FULL = Size(
    rounds=3,
    one_by_one=100,
    requests=256,
    opens=(1, 16, 64),
    frames=200,
    streams=32,
    many_streams=500,
    soak_frames=1_000_000,
    cold_starts=5,
)
SMOKE = Size(
    rounds=1,
    one_by_one=8,
    requests=16,
    opens=(1, 16, 64),
    frames=50,
    streams=4,
    many_streams=50,
    soak_frames=20_000,
    cold_starts=1,
)
SHORT = 8
"""Frames of a buffered answer: an answer's text costs next to nothing, its request does not."""
_SOAK_STREAM = 4000


def measure_buffered(targets: Sequence[Target], size: Size) -> dict[str, Numbers]:
    """Whole answers at each number of open ones: milliseconds, requests a second, CPU of one."""

    def measure(target: Target) -> dict[str, float]:
        found = {}
        for open_ in size.opens:
            total = size.one_by_one if open_ == 1 else max(open_, size.requests)
            load = _load(target, frames=SHORT, open_=open_, total=total, stream=False)
            waits_s = [timing.whole_s for timing in load.timings]
            found |= {
                f"requests_per_s_{open_}": total / load.took_s,
                f"cpu_ms_{open_}": load.cpu_s / total * 1e3,
                f"p50_ms_{open_}": _quantile(waits_s, 0.5) * 1e3,
                f"p99_ms_{open_}": _quantile(waits_s, 0.99) * 1e3,
            }
        return found

    return _by_turns(targets, size, measure, stream=False)


def measure_streams(targets: Sequence[Target], size: Size) -> dict[str, Numbers]:
    """Streams: milliseconds to the first text one at a time, CPU and frames a second with four open."""

    def measure(target: Target) -> dict[str, float]:
        short = _load(target, frames=SHORT, open_=1, total=size.streams, stream=True)
        long = _load(target, frames=size.frames, open_=4, total=size.streams, stream=True)
        more_frames = size.streams * (size.frames - SHORT)
        return {
            "first_ms": _quantile([timing.first_s for timing in short.timings], 0.5) * 1e3,
            "cpu_ms_per_frame": max(0.0, long.cpu_s - short.cpu_s) / more_frames * 1e3,
            "frames_per_s": size.streams * size.frames / long.took_s,
        }

    return _by_turns(targets, size, measure, stream=True)


def measure_stand_in(target: Target, table_pid: int, size: Size) -> Numbers:
    """What the table's stand-in takes for a request of ours, in its own process."""
    found: list[float] = []
    for _ in range(size.rounds):
        before_s = cpu_s(table_pid)
        _load(target, frames=SHORT, open_=16, total=size.requests, stream=False)
        found.append((cpu_s(table_pid) - before_s) / size.requests * 1e3)
    return summary({"cpu_ms_16": found})


def measure_many_streams(target: Target, size: Size) -> Numbers:
    """Many streams open at once, a frame a second each: all in order, and what one costs in memory."""
    rest_mb = rss_mb(target.pid)
    request = target.request(frames=6, stream=True, pause_ms=1000)
    before_s = cpu_s(target.pid)

    async def hold() -> tuple[list[Timing], float]:
        lines = [Line(target.port) for _ in range(size.many_streams)]
        for line in lines:
            await line.connect()
        asking = [asyncio.create_task(line.ask(request, stream=True)) for line in lines]
        peak_mb = rest_mb
        try:
            while not all(task.done() for task in asking):
                await asyncio.sleep(0.25)
                peak_mb = max(peak_mb, rss_mb(target.pid))
            return [await task for task in asking], peak_mb
        finally:
            for line in lines:
                line.close()

    timings, peak_mb = asyncio.run(hold())
    _check(timings, target)
    return {
        "streams": size.many_streams,
        "in_order": all(timing.in_order for timing in timings),
        "rest_mb": rest_mb,
        "kb_per_stream": (peak_mb - rest_mb) / size.many_streams * 1e3,
        "cpu_ms_per_stream": (cpu_s(target.pid) - before_s) / size.many_streams * 1e3,
    }


def measure_soak(target: Target, size: Size) -> Numbers:
    """Frames without end: the CPU of one, and the memory before and after."""
    count = max(4, size.soak_frames // _SOAK_STREAM)
    _load(target, frames=_SOAK_STREAM, open_=2, total=4, stream=True)
    rest_mb = rss_mb(target.pid)
    load = _load(target, frames=_SOAK_STREAM, open_=2, total=count, stream=True)
    frames = sum(timing.frames for timing in load.timings)
    return {
        "frames": frames,
        "cpu_ms_per_frame": load.cpu_s / frames * 1e3,
        "frames_per_s": frames / load.took_s,
        "before_mb": rest_mb,
        "after_mb": rss_mb(target.pid),
    }


def count_calls(target: Target, upstream: Running) -> Mapping[str, int]:
    """The calls of AWS that one streamed request makes, as they arrive, and how many of them come first."""
    _calls(upstream)
    _drive(target, target.request(frames=SHORT, stream=True), open_=1, total=1, stream=True)
    calls = _calls(upstream)
    return {**Counter(calls), "before the engine": calls.index(ENGINE_CALL)}


def _calls(upstream: Running) -> list[str]:
    with urlopen(f"{upstream.url}/calls", timeout=5) as answer:
        told: list[str] = json.load(answer)
    return told


@dataclass(frozen=True, slots=True)
class _Load:
    """Answers, the seconds that they took in all, and the target's CPU seconds meanwhile."""

    timings: list[Timing]
    took_s: float
    cpu_s: float


def _load(target: Target, *, frames: int, open_: int, total: int, stream: bool) -> _Load:
    request, before_s = target.request(frames=frames, stream=stream), cpu_s(target.pid)
    timings, took_s = _drive(target, request, open_=open_, total=total, stream=stream)
    _check(timings, target)
    return _Load(timings, took_s, cpu_s(target.pid) - before_s)


def _by_turns(
    targets: Sequence[Target], size: Size, measure: Callable[[Target], dict[str, float]], *, stream: bool
) -> dict[str, Numbers]:
    """The same of each warmed target in each round."""
    for target in targets:
        _warm(target, stream=stream)
    found: dict[str, dict[str, list[float]]] = {target.name: {} for target in targets}
    for _ in range(size.rounds):
        for target in targets:
            for column, value in measure(target).items():
                found[target.name].setdefault(column, []).append(value)
    return {name: summary(lists) for name, lists in found.items()}


def _drive(target: Target, request: bytes, *, open_: int, total: int, stream: bool) -> tuple[list[Timing], float]:
    return asyncio.run(drive(target, request, open_=open_, total=total, stream=stream))


def _warm(target: Target, *, stream: bool) -> None:
    _load(target, frames=SHORT, open_=4, total=12, stream=stream)


def _check(timings: Sequence[Timing], target: Target) -> None:
    if not all(timing.in_order for timing in timings):
        raise WrongAnswer(f"{target.name}: words out of order or missing")


def summary(lists: Mapping[str, list[float]]) -> Numbers:
    """Median and values in the order of the rounds, so that targets can be compared round by round."""
    return {name: {"median": statistics.median(values), "of": values} for name, values in lists.items()}


def _quantile(values: Sequence[float], share: float) -> float:
    """The least value that so large a share is not above."""
    return sorted(values)[ceil(share * len(values)) - 1]
