"""A run as a table for a terminal, and as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.plots import bars

OURS = "gateway"
_COLUMNS = {
    "buffered": ("p50_ms_1", "p99_ms_1", "requests_per_s_1", "requests_per_s_16", "requests_per_s_64", "cpu_ms_16"),
    "streams": ("first_ms", "cpu_ms_per_frame", "frames_per_s"),
    "engine": ("whole_ms", "cpu_ms"),
}


def table(results: Mapping[str, Any]) -> str:
    """All rows of a run."""
    lines: list[str] = []
    for row, columns in _COLUMNS.items():
        if row not in results:
            continue
        names = [name for name in columns if name in next(iter(results[row].values()))]
        lines += ["", row, f"{'':<34}" + "".join(f"{name:>20}" for name in names)]
        for target, numbers in results[row].items():
            lines.append(f"{target:<34}" + "".join(_cell(numbers[name]) for name in names))
    for row in ("added", "ready_s", "rest_mb", "many_streams", "soak", "cold", "calls", "costs"):
        if row in results:
            lines += ["", row, *_flat(results[row], indent="  ")]
    return "\n".join(lines)


def added(results: Mapping[str, Any]) -> dict[str, Any]:
    """What each target adds to the upstream's own milliseconds, and its share of our requests and frames a second."""
    found = {}
    buffered, streams = results["buffered"], results["streams"]
    for name in buffered.keys() & streams.keys() - {"upstream"}:
        found[name] = {
            "p50_ms": _median(buffered, name, "p50_ms_1") - _median(buffered, "upstream", "p50_ms_1"),
            "p99_ms": _median(buffered, name, "p99_ms_1") - _median(buffered, "upstream", "p99_ms_1"),
            "first_ms": _median(streams, name, "first_ms") - _median(streams, "upstream", "first_ms"),
            "requests_per_s_16_over_ours": _ratio(buffered, name, "requests_per_s_16"),
            "frames_per_s_over_ours": _ratio(streams, name, "frames_per_s"),
        }
    return found


def draw(results: Mapping[str, Any], folder: Path) -> None:
    """The pictures that the documents show."""
    gateways = [name for name in results["buffered"] if name != "upstream"]
    pictures = {
        "bench-requests": ("Whole answers, 16 open", "requests/s", "buffered", "requests_per_s_16"),
        "bench-cpu": ("CPU of a whole answer", "ms", "buffered", "cpu_ms_16"),
        "bench-first": ("From request to first text, one stream", "ms", "streams", "first_ms"),
        "bench-frame": ("CPU of a streamed frame", "ms", "streams", "cpu_ms_per_frame"),
    }
    for file, (title, unit, row, column) in pictures.items():
        values = {name: _median(results[row], name, column) for name in gateways if name in results[row]}
        (folder / f"{file}.svg").write_text(bars(title, unit, values, ours=OURS), "utf-8")
    (folder / "bench-memory.svg").write_text(bars("Memory at rest", "MB", results["rest_mb"], ours=OURS), "utf-8")
    (folder / "bench-ready.svg").write_text(bars("From exec to listening", "s", results["ready_s"], ours=OURS), "utf-8")


def _ratio(row: Mapping[str, Any], name: str, column: str) -> float:
    return _median(row, name, column) / _median(row, OURS, column)


def _median(row: Mapping[str, Any], name: str, column: str) -> float:
    return float(row[name][column]["median"])


def _cell(numbers: Mapping[str, Any]) -> str:
    low, high = min(numbers["of"]), max(numbers["of"])
    return f"{numbers['median']:>11.4g} ±{(high - low) / 2:<7.2g}"


def _flat(value: Any, *, indent: str, name: str = "") -> list[str]:
    if isinstance(value, Mapping):
        if "median" in value:
            return [f"{indent}{name:<36}{_cell(value).strip()}"]
        inner = indent + "  " if name else indent
        head = [f"{indent}{name}"] if name else []
        return head + [line for key, each in value.items() for line in _flat(each, indent=inner, name=str(key))]
    shown = f"{value:,.5g}" if isinstance(value, float) else f"{value}"
    return [f"{indent}{name:<36}{shown}"]
