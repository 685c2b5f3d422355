"""The figures of a run, as `docs/reliability.md` shows them between its markers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.load.verdict import PROMISES


def fault_figures(counted: Mapping[str, Any]) -> str:
    """A table of the cases of the fault lane."""
    rows = ["| request: what happens | steps | cases | admitted | records |", "| --- | --- | --- | --- | --- |"]
    for name, outcome in counted.items():
        records = ", ".join(f"{count} {status}" for status, count in outcome["records"].items())
        rows.append(f"| {name} | {len(outcome['steps'])} | {outcome['cases']} | {outcome['admitted']} | {records} |")
    cases = sum(outcome["cases"] for outcome in counted.values())
    return "\n".join([*rows, "", f"{cases} cases, none with anything wrong."])


def load_figures(results: Mapping[str, Any]) -> str:
    """A table for each scene."""
    machine = f"{results['date']}, {results['processors']} processors, {results['table']}"
    lines = [f"{machine}; load average {results['load_before']} before, {results['load_after']} after."]
    for name, numbers in results["scenes"].items():
        lines += ["", f"**{name.replace('_', ' ')}**", "", "| | |", "| --- | --- |"]
        lines += [f"| {what.replace('_', ' ')} | {_cell(value)} |" for what, value in numbers.items()]
    missing = [name.replace("_", " ") for name in PROMISES if name not in results["scenes"]]
    if missing:
        lines += ["", f"Not measured yet: {', '.join(missing)}."]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {what}" for what, count in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "nothing"
    return f"{value:,}" if isinstance(value, int) else str(value)
