"""The measurements. Each gives plain numbers; the ratios and the words are the report's."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
_SHORT = 8
"""Frames of a buffered answer: an answer's text costs next to nothing, its request does not."""
_SOAK_STREAM = 4000


def measure_buffered(targets: Sequence[Target], size: Size) -> dict[str, Numbers]:
    """Whole answers at each number of open ones: milliseconds, requests a second, CPU of one."""
    found: dict[str, dict[str, list[float]]] = {target.name: {} for target in targets}
    for target in targets:
        _warm(target, stream=False)
    for _ in range(size.rounds):
        for target in targets:
            request = target.request(frames=_SHORT, stream=False)
            for open_ in size.opens:
                total = size.one_by_one if open_ == 1 else max(open_, size.requests)
                before_s = cpu_s(target.pid)
                timings, took_s = _drive(target, request, open_=open_, total=total, stream=False)
                _check(timings, target)
                _add(
                    found[target.name],
                    {
                        f"requests_per_s_{open_}": total / took_s,
                        f"cpu_ms_{open_}": (cpu_s(target.pid) - before_s) / total * 1e3,
                        f"p50_ms_{open_}": _quantile([timing.whole_s for timing in timings], 0.5) * 1e3,
                        f"p99_ms_{open_}": _quantile([timing.whole_s for timing in timings], 0.99) * 1e3,
                    },
                )
    return {name: _summary(values) for name, values in found.items()}


def measure_streams(targets: Sequence[Target], size: Size) -> dict[str, Numbers]:
    """Streams: milliseconds to the first text one at a time, CPU and frames a second with four open."""
    found: dict[str, dict[str, list[float]]] = {target.name: {} for target in targets}
    for target in targets:
        _warm(target, stream=True)
    for _ in range(size.rounds):
        for target in targets:
            short = target.request(frames=_SHORT, stream=True)
            before_s = cpu_s(target.pid)
            timings, _ = _drive(target, short, open_=1, total=size.streams, stream=True)
            _check(timings, target)
            a_request_s = (cpu_s(target.pid) - before_s) / size.streams
            before_s = cpu_s(target.pid)
            long = target.request(frames=size.frames, stream=True)
            longer, took_s = _drive(target, long, open_=4, total=size.streams, stream=True)
            _check(longer, target)
            more_frames = size.streams * (size.frames - _SHORT)
            cpu_frames_s = cpu_s(target.pid) - before_s - size.streams * a_request_s
            _add(
                found[target.name],
                {
                    "first_ms": _quantile([timing.first_s for timing in timings], 0.5) * 1e3,
                    "cpu_ms_per_frame": max(0.0, cpu_frames_s) / more_frames * 1e3,
                    "frames_per_s": size.streams * size.frames / took_s,
                },
            )
    return {name: _summary(values) for name, values in found.items()}


def measure_stand_in(target: Target, table_pid: int, size: Size) -> Numbers:
    """What the table's stand-in takes for a request of ours, in its own process."""
    found: dict[str, list[float]] = {}
    request = target.request(frames=_SHORT, stream=False)
    for _ in range(size.rounds):
        before_s = cpu_s(table_pid)
        _check(_drive(target, request, open_=16, total=size.requests, stream=False)[0], target)
        _add(found, {"cpu_ms_16": (cpu_s(table_pid) - before_s) / size.requests * 1e3})
    return _summary(found)


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
    request = target.request(frames=_SOAK_STREAM, stream=True)
    warm, _ = _drive(target, request, open_=2, total=4, stream=True)
    _check(warm, target)
    rest_mb, before_s = rss_mb(target.pid), cpu_s(target.pid)
    timings, took_s = _drive(target, request, open_=2, total=count, stream=True)
    _check(timings, target)
    frames = sum(timing.frames for timing in timings)
    return {
        "frames": frames,
        "cpu_ms_per_frame": (cpu_s(target.pid) - before_s) / frames * 1e3,
        "frames_per_s": frames / took_s,
        "before_mb": rest_mb,
        "after_mb": rss_mb(target.pid),
    }


def count_calls(target: Target, upstream: Running) -> Mapping[str, int]:
    """The calls of AWS that one streamed request makes, as they arrive, and how many of them come first."""
    _calls(upstream)
    _drive(target, target.request(frames=_SHORT, stream=True), open_=1, total=1, stream=True)
    calls = _calls(upstream)
    return {**Counter(calls), "before the engine": calls.index(ENGINE_CALL)}


def _calls(upstream: Running) -> list[str]:
    with urlopen(f"{upstream.url}/calls", timeout=5) as answer:
        told: list[str] = json.load(answer)
    return told


def _drive(target: Target, request: bytes, *, open_: int, total: int, stream: bool) -> tuple[list[Timing], float]:
    return asyncio.run(drive(target, request, open_=open_, total=total, stream=stream))


def _warm(target: Target, *, stream: bool) -> None:
    _check(_drive(target, target.request(frames=_SHORT, stream=stream), open_=4, total=12, stream=stream)[0], target)


def _check(timings: Sequence[Timing], target: Target) -> None:
    if not all(timing.in_order for timing in timings):
        raise WrongAnswer(f"{target.name}: words out of order or missing")


def _add(lists: dict[str, list[float]], values: Mapping[str, float]) -> None:
    for name, value in values.items():
        lists.setdefault(name, []).append(value)


def _summary(lists: Mapping[str, list[float]]) -> Numbers:
    """Median and values in the order of the rounds, so that targets can be compared round by round."""
    return {name: {"median": statistics.median(values), "of": values} for name, values in lists.items()}


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
