"""Plots as SVG text. They hold no colour of a page and so read on a light and on a dark one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import log10

_WIDTH = 720
_LEFT = 190
_BAR = 22
Spread = tuple[float, float, float]
"""Median, least and most."""

_OURS, _OURS_TOO, _OTHERS, _INK = "#2a78d6", "#9cc3f0", "#8a94a3", "#6b7480"


def bars(title: str, unit: str, values: Mapping[str, Spread], *, ours: str) -> str:
    """Horizontal bars of the medians, one for each name, a thin line from least to most; ours are blue."""
    scale = (_WIDTH - _LEFT - 110) / max(most for _, _, most in values.values())
    rows = []
    for row, (name, (median, least, most)) in enumerate(values.items()):
        y = 44 + row * (_BAR + 10)
        width, middle = max(1.0, median * scale), y + _BAR / 2
        colour = _OURS if name == ours else _OURS_TOO if name.startswith(f"{ours},") else _OTHERS
        rows.append(_text(_LEFT - 10, y + 16, name, anchor="end"))
        rows.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3" fill="{colour}"/>')
        if most > least:
            ends = f'x1="{_LEFT + least * scale:.1f}" x2="{_LEFT + most * scale:.1f}" y1="{middle}" y2="{middle}"'
            rows.append(f'<line {ends} stroke="{_INK}" stroke-width="2"/>')
        rows.append(_text(_LEFT + max(width, most * scale) + 8, y + 16, f"{_short(median)} {unit}"))
    return _picture(title, rows, height=54 + len(values) * (_BAR + 10))


def curves(
    title: str,
    *,
    x_name: str,
    y_name: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    solid_until: Mapping[str, float],
) -> str:
    """Curves over two logarithmic axes; each is dashed beyond its own x."""
    points = [point for line in lines.values() for point in line]
    (x_low, x_high), (y_low, y_high) = (_decades([point[axis] for point in points]) for axis in (0, 1))
    left, top, width, height = 84, 44, _WIDTH - 250, 300

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (log10(x) - x_low) / (x_high - x_low) * width,
            top + height - (log10(y) - y_low) / (y_high - y_low) * height,
        )

    drawn = []
    for power in range(x_low, x_high + 1):
        x, _ = place(10**power, 10**y_low)
        drawn.append(_rule(x, top, x, top + height))
        drawn.append(_text(x, top + height + 18, _decade(power), anchor="middle"))
    for power in range(y_low, y_high + 1):
        _, y = place(10**x_low, 10**power)
        drawn.append(_rule(left, y, left + width, y))
        drawn.append(_text(left - 8, y + 4, _decade(power), anchor="end"))
    colours = (_OURS, "#d6762a", "#3d9a5f", "#8d5bc0")
    for row, ((name, line), colour) in enumerate(zip(lines.items(), colours, strict=False)):
        solid = [point for point in line if point[0] <= solid_until[name]]
        for part, dashes in ((solid, ""), (line[max(0, len(solid) - 1) :], ' stroke-dasharray="3 5"')):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in part))
            drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"{dashes}/>')
        y = top + 14 + row * 22
        drawn.append(f'<rect x="{left + width + 16}" y="{y - 9}" width="14" height="4" fill="{colour}"/>')
        drawn.append(_text(left + width + 36, y - 2, name))
    drawn.append(_text(left + width / 2, top + height + 40, x_name, anchor="middle"))
    drawn.append(_text(left, top - 8, y_name))
    return _picture(title, drawn, height=top + height + 54)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = log10(min(values)), log10(max(values))
    return int(low // 1), int(-(-high // 1)) if high > low // 1 else int(low // 1) + 1


def _decade(power: int) -> str:
    return f"{10.0**power:,.{max(0, -power)}f}"


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{_OTHERS}" stroke-opacity="0.3"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}">{escape(text)}</text>'


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _picture(title: str, rows: Sequence[str], *, height: int) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13">\n<title>{escape(title)}</title>\n'
        f'<text x="10" y="22" font-size="15" font-weight="600" fill="{_INK}">{escape(title)}</text>\n'
    )
    return head + "\n".join(rows) + "\n</svg>\n"
