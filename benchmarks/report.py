"""A run as a table for a terminal, and as pictures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from operator import sub, truediv
from pathlib import Path
from typing import Any

from benchmarks.plots import Spread, bars

OURS = "gateway"
NO_AWS = "gateway, AWS at once"
"""The gateway over a DynamoDB that answers at once: all of it but the table's own time."""
UPSTREAM = "upstream"
OPENS = (1, 16, 64)
_BUFFERED = ("p50_ms", "p99_ms", "requests_per_s", "cpu_ms")
_COLUMNS = {"streams": ("first_ms", "cpu_ms_per_frame", "frames_per_s"), "engine": ("whole_ms", "cpu_ms")}
_REST = (
    "added",
    "table_stand_in",
    "engine_call",
    "ready_s",
    "rest_mb",
    "many_streams",
    "soak",
    "cold",
    "calls",
    "costs",
)


def table(results: Mapping[str, Any]) -> str:
    """All rows of a run."""
    lines = [
        f"on {results['table']}",
        *(f"not measured: {name}, {why}" for name, why in results["not_measured"].items()),
    ]
    for open_ in OPENS:
        lines += _rows(results["buffered"], f"whole answers, {open_} open", [f"{name}_{open_}" for name in _BUFFERED])
    for row, columns in _COLUMNS.items():
        if row in results:
            lines += _rows(results[row], row, columns)
    for row in _REST:
        if row in results:
            lines += ["", row, *_flat(results[row], indent="  ")]
    return "\n".join(lines)


def added(results: Mapping[str, Any]) -> dict[str, Any]:
    """What each target adds to the upstream's own milliseconds, and its rates over ours.

    Round by round, since a busy minute hits all targets of its round; then the median and the values.
    """
    found = {}
    buffered, streams = results["buffered"], results["streams"]
    for name in buffered:
        if name == UPSTREAM:
            continue
        numbers = {
            f"{column}_{open_}": _paired(buffered, name, UPSTREAM, f"{column}_{open_}", sub)
            for column in ("p50_ms", "p99_ms")
            for open_ in OPENS
        }
        numbers["first_ms"] = _paired(streams, name, UPSTREAM, "first_ms", sub)
        for open_ in OPENS:
            column = f"requests_per_s_{open_}"
            numbers[f"{column}_over_ours"] = _paired(buffered, name, OURS, column, truediv)
        numbers["frames_per_s_over_ours"] = _paired(streams, name, OURS, "frames_per_s", truediv)
        found[name] = numbers
    return found


def stand_in(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the table's stand-in costs: its own CPU, and the time that our requests take longer than over none."""
    waits = {f"p50_ms_{open_}": _paired(results["buffered"], OURS, NO_AWS, f"p50_ms_{open_}", sub) for open_ in OPENS}
    return {**results["table_stand_in"], **waits}


def draw(results: Mapping[str, Any], folder: Path) -> None:
    """The pictures that the documents show."""
    pictures = {
        "bench-requests": ("Whole answers, 16 open", "requests/s", "buffered", "requests_per_s_16"),
        "bench-cpu": ("CPU of a whole answer", "ms", "buffered", "cpu_ms_16"),
        "bench-first": ("From request to first text, one stream", "ms", "streams", "first_ms"),
        "bench-frame": ("CPU of a streamed frame", "ms", "streams", "cpu_ms_per_frame"),
    }
    for file, (title, unit, row, column) in pictures.items():
        values = {name: _spread(numbers[column]) for name, numbers in results[row].items() if name != UPSTREAM}
        (folder / f"{file}.svg").write_text(bars(title, unit, values, ours=OURS), "utf-8")
    for file, title, unit, row in (
        ("bench-memory", "Memory at rest", "MB", "rest_mb"),
        ("bench-ready", "From exec to listening", "s", "ready_s"),
    ):
        alone = {name: (value, value, value) for name, value in results[row].items()}
        (folder / f"{file}.svg").write_text(bars(title, unit, alone, ours=OURS), "utf-8")


def _paired(
    row: Mapping[str, Any], name: str, beside: str, column: str, compare: Callable[[float, float], float]
) -> dict[str, Any]:
    pairs = zip(row[name][column]["of"], row[beside][column]["of"], strict=True)
    values = [compare(one, other) for one, other in pairs]
    return {"median": statistics.median(values), "of": values}


def _spread(numbers: Mapping[str, Any]) -> Spread:
    return numbers["median"], min(numbers["of"]), max(numbers["of"])


def _rows(row: Mapping[str, Any], title: str, columns: Sequence[str]) -> list[str]:
    lines = ["", f"{title:<26}" + "".join(f"{name:>20}" for name in columns)]
    return lines + [
        f"{target:<26}" + "".join(_cell(numbers[name]) for name in columns) for target, numbers in row.items()
    ]


def _cell(numbers: Mapping[str, Any]) -> str:
    median, low, high = _spread(numbers)
    return f"{median:>11.4g} ±{(high - low) / 2:<7.2g}"


def _flat(value: Any, *, indent: str, name: str = "") -> list[str]:
    if isinstance(value, Mapping):
        if "median" in value:
            return [f"{indent}{name:<36}{_cell(value).strip()}"]
        inner = indent + "  " if name else indent
        head = [f"{indent}{name}"] if name else []
        return head + [line for key, each in value.items() for line in _flat(each, indent=inner, name=str(key))]
    shown = f"{value:,.5g}" if isinstance(value, float) else f"{value}"
    return [f"{indent}{name:<36}{shown}"]
