"""The figures of docs/benchmarks.md, from a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.costs import STREAM_S
from benchmarks.pages import with_figures
from benchmarks.processes import ROOT
from benchmarks.report import NO_AWS, OURS, UPSTREAM

RESULTS = ROOT / "benchmarks" / "results" / "last.json"
PAGE = ROOT / "docs" / "benchmarks.md"

_QUIET_LOAD = 0.5
_FLAT = 1.05
"""Memory that grew by less over a million frames is flat: allocators keep what a peak took."""


def write(results: Mapping[str, Any]) -> None:
    """Puts the figures into the page."""
    page = PAGE.read_text("utf-8")
    for name, figures in (("run", run_figures(results)), ("goals", goal_figures(results))):
        page = with_figures(page, name, figures)
    PAGE.write_text(page, "utf-8")


def run_figures(results: Mapping[str, Any]) -> str:
    """The tables of a run."""
    return "\n\n".join(
        [_circumstances(results), _whole_answers(results), _crowds(results), _streams(results), _others(results)]
    )


def goal_figures(results: Mapping[str, Any]) -> str:
    """DESIGN's numbers to reach, and whether this run did."""
    soak, cold, calls = results["soak"], results["cold"], results["calls"]
    many, imports = results["many_streams"][NO_AWS], cold["import_cpu_s"]
    answer, first = results["buffered"][NO_AWS]["cpu_ms_16"], results["added"][NO_AWS]["first_ms"]
    engine_call = results["engine_call"]["cpu_ms_16"]
    goals: list[tuple[str, str, bool]] = [
        ("AWS round trips before the engine ≤ 2", f"{calls['before the engine']}", calls["before the engine"] <= 2),
        (
            "CPU of a whole answer, all but the engine ≤ 2 ms",
            f"{_spread(answer)} ms over a table at once, {_spread(engine_call)} of it the engine's call, its parts and "
            "their text, measured alone",
            answer["median"] - engine_call["median"] <= 2,
        ),
        (
            "CPU of a frame ≤ 0.05 ms",
            f"{_number(soak['cpu_ms_per_frame'])} ms over {soak['frames']:,} frames",
            soak["cpu_ms_per_frame"] <= 0.05,
        ),
        (
            "first text later than the engine's own ≤ 3 ms",
            f"{_spread(first)} ms over a table at once; our CPU for its calls is in it",
            first["median"] <= 3,
        ),
        (
            "500 streams open in one process, in order",
            f"{many['streams']}, {'all' if many['in_order'] else 'not all'} in order; "
            f"{_number(many['kb_per_stream'])} KB and {_number(many['cpu_ms_per_stream'])} ms of CPU each",
            many["streams"] >= 500 and many["in_order"],
        ),
        (
            "memory flat over 10⁶ frames",
            f"{soak['before_mb']:.1f} MB before, {soak['after_mb']:.1f} after {soak['frames']:,}",
            soak["frames"] >= 1e6 and soak["after_mb"] <= _FLAT * soak["before_mb"],
        ),
    ]
    yardstick = imports.get("fastapi, boto3 and one client", {}).get("instructions")
    if yardstick:
        ratio = imports["ours"]["instructions"] / yardstick
        told = f"{ratio:.2f} by instructions ({_millions(imports['ours'])} to {_number(yardstick / 1e6)} million)"
        goals.append(("import ≤ 0.6 of `import fastapi, boto3` and one client", told, ratio <= 0.6))
    ready_s = cold["local_run_ready_s"]
    goals.append(("`make run` to READY ≤ 5 s", f"{_spread(ready_s)} s", ready_s["median"] <= 5))
    rows = [(goal, measured, "met" if met else "**missed**") for goal, measured, met in goals]
    return _table(("goal", "measured", ""), rows, numbers=False)


def _circumstances(results: Mapping[str, Any]) -> str:
    machine, before, after = results["machine"], results["machine"]["loadavg"][0], results["loadavg_after"][0]
    lines = [
        f"{results['date']} UTC, revision {machine['revision']}, {machine['cpus']} cores, Python {machine['python']}, "
        f"{results['table']}; {results['took_s']} s; load average {before:.1f} before, {after:.1f} after."
    ]
    if before > _QUIET_LOAD:
        lines.append("**The machine was shared**: compare within a column and mind the spread.")
    lines += [f"Not measured: {name}, {why}." for name, why in results["not_measured"].items()]
    return "\n".join(lines)


def _whole_answers(results: Mapping[str, Any]) -> str:
    buffered, added = results["buffered"], results["added"]
    columns: dict[str, Callable[[str], str]] = {
        "whole answers": lambda name: name,
        "p50 ms added, one open": lambda name: _spread(added[name]["p50_ms_1"]),
        "p99 ms added, one open": lambda name: _spread(added[name]["p99_ms_1"]),
        "requests/s, one open": lambda name: _spread(buffered[name]["requests_per_s_1"]),
        "16 open": lambda name: _spread(buffered[name]["requests_per_s_16"]),
        "64 open": lambda name: _spread(buffered[name]["requests_per_s_64"]),
        "16 open, over ours": lambda name: _spread(added[name]["requests_per_s_16_over_ours"]),
        "CPU ms a request": lambda name: _spread(buffered[name]["cpu_ms_16"]),
    }
    return _table(tuple(columns), [[cell(name) for cell in columns.values()] for name in added])


def _crowds(results: Mapping[str, Any]) -> str:
    names = [f"{column}_ms_{open_}" for open_ in (16, 64) for column in ("p50", "p99")]
    rows = [[name, *(_spread(numbers[column]) for column in names)] for name, numbers in results["added"].items()]
    head = ("ms added to the upstream's own", "p50, 16 open", "p99, 16 open", "p50, 64 open", "p99, 64 open")
    upstream = results["buffered"][UPSTREAM]
    rows.append(["the upstream's own", *(_spread(upstream[column]) for column in names)])
    return _table(head, rows)


def _streams(results: Mapping[str, Any]) -> str:
    streams, added, many = results["streams"], results["added"], results["many_streams"]
    columns: dict[str, Callable[[str], str]] = {
        "streams": lambda name: name,
        "ms added to the first text, one open": lambda name: _spread(added[name]["first_ms"]),
        "CPU ms a frame": lambda name: _spread(streams[name]["cpu_ms_per_frame"]),
        "frames/s, 4 open": lambda name: _spread(streams[name]["frames_per_s"]),
        "over ours": lambda name: _spread(added[name]["frames_per_s_over_ours"]),
        "KB an open stream": lambda name: _number(many[name]["kb_per_stream"]) if name in many else "",
        "MB at rest": lambda name: _number(results["rest_mb"][name]),
        "s from exec to listening": lambda name: _number(results["ready_s"][name]),
    }
    return _table(tuple(columns), [[cell(name) for cell in columns.values()] for name in added])


def _others(results: Mapping[str, Any]) -> str:
    engine, costs, cold, soak = results["engine"], results["costs"], results["cold"], results["soak"]
    imports = cold["import_cpu_s"]
    calls = ", ".join(
        f"{count} {name.rpartition('.')[2]}" for name, count in results["calls"].items() if name != "before the engine"
    )
    units = ", ".join(f"{what} {count}" for what, count in costs["write_units"].items())
    sizes = ", ".join(f"{what} {size} B" for what, size in costs["bytes"].items())
    stand_in = results["table_stand_in"]
    rows = [
        (
            "the real model, 24 tokens whole",
            f"llama.cpp alone {_spread(engine['llama.cpp']['whole_ms'])} ms, through us and the local stand-in "
            f"{_spread(engine[OURS]['whole_ms'])} ms with {_spread(engine[OURS]['cpu_ms'])} ms of our CPU",
        ),
        (
            f"the table's stand-in, {results['table']}",
            f"{_spread(stand_in['p50_ms_1'])} ms of a request one at a time; "
            f"{_spread(stand_in['cpu_ms_16'])} ms of its own CPU, on the same cores",
        ),
        (
            "AWS calls of a request, counted on the wire",
            f"{calls}; {results['calls']['before the engine']} before the engine's",
        ),
        (
            "write units of a request, from its items' real sizes",
            f"{costs['write_units_a_request']}: {units} ({sizes})",
        ),
        ("DynamoDB, per 1,000 requests (reckoned)", f"{costs['dynamodb_usd_per_1000']:.4f} USD"),
        (
            f"Lambda, per 1,000 streamed answers of {STREAM_S:g} s (reckoned)",
            f"{costs['lambda_gb_s_per_1000_streams']:,.0f} GB-s, {costs['lambda_usd_per_1000_streams']:.2f} USD",
        ),
        ("exec of `run.sh`'s command to the first byte of `/health`", f"{_spread(cold['first_byte_s'])} s"),
        *(
            (f"import: {name}", f"{_spread(numbers)} s of CPU, {_millions(numbers)} million instructions")
            for name, numbers in imports.items()
        ),
        ("`make run` to READY, installed", f"{_spread(cold['local_run_ready_s'])} s"),
        (
            f"memory after {soak['frames']:,} frames",
            f"{soak['after_mb']:.1f} MB, {soak['before_mb']:.1f} before; {soak['frames_per_s']:,.0f} frames/s",
        ),
    ]
    return _table(("row", "measured"), rows, numbers=False)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True) -> str:
    rule = ["---", *("---:" if numbers else "---" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _spread(numbers: Mapping[str, Any]) -> str:
    half = (max(numbers["of"]) - min(numbers["of"])) / 2
    return f"{_number(numbers['median'])} ± {_number(half, digits=2)}"


def _millions(numbers: Mapping[str, Any]) -> str:
    return _number(numbers["instructions"] / 1e6, digits=4) if "instructions" in numbers else "(no valgrind here)"


def _number(value: float, *, digits: int = 3) -> str:
    """So many digits that count, never as a power of ten."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.{digits}g}"


def main() -> None:
    """`python -m benchmarks.page`: the page again from the last run."""
    write(json.loads(RESULTS.read_text("utf-8")))


if __name__ == "__main__":
    main()
