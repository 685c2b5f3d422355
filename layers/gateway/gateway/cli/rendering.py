"""What the command prints: plain tables and JSON, the same on a terminal and in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Cell = str | int | float | Decimal | bool | None

# Wider than any table of ours: rich would cut columns at the 80 that it takes a pipe for.
_WIDTH = 100_000
_NOTHING = "-"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """One line a row, in aligned columns; numbers to the right, no colour, no borders."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    cells = [list(row) for row in rows]
    for index, name in enumerate(columns):
        is_number = any(_is_number(row[index]) for row in cells)
        table.add_column(name.upper(), justify="right" if is_number else "left", no_wrap=True)
    for row in cells:
        table.add_row(*(Text(_written(cell)) for cell in row))
    Console(file=sys.stdout, width=_WIDTH, color_system=None, highlight=False).print(table)


def print_json(value: Any) -> None:
    """Indented JSON."""
    print(json.dumps(value, indent=2))


def print_fields(fields: Mapping[str, Cell]) -> None:
    """One thing as a table of two columns."""
    print_table(("field", "value"), [(name, _written(value)) for name, value in fields.items()])


def utc(time_s: int) -> str:
    """Unix seconds as `2026-11-23T06:32:24Z`."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float | Decimal) and not isinstance(cell, bool)


def _written(cell: Cell) -> str:
    match cell:
        case None:
            return _NOTHING
        case bool():
            return "yes" if cell else "no"
        case int():
            return f"{cell:,}"
        case float() | Decimal():
            return f"{cell:,f}"
        case _:
            # names come from customers: an escape sequence in one must not reach the operator's terminal
            return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cell)
