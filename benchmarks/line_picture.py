"""The picture of docs/line.md: how long each account waits, as bars."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from benchmarks.line_seen import Seen, percentile, waits

_LEFT, _TOP, _WIDTH, _BAR, _GAP = 110, 70, 560, 9, 9
_COLOURS = ("#9aa5b1", "#d1495b", "#2e7d6b")
_TITLE = "Wait for a slot, 95th percentile by account, seconds"


def draw_waits(series: Mapping[str, Seen], *, most_s: float) -> str:
    """SVG with a group of bars for each account, one bar for each of the named runs."""
    accounts = max((seen.accounts for seen in series.values()), key=len)
    height = _TOP + len(accounts) * (len(series) * _BAR + _GAP) + 50
    scale = _WIDTH / most_s
    size = f"{_LEFT + _WIDTH + 70} {height}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="10" y="22" font-size="15" font-weight="bold">{escape(_TITLE)}</text>',
    ]
    for index, (name, colour) in enumerate(zip(series, _COLOURS, strict=True)):
        x = _LEFT + 170 * index
        parts.append(f'<rect x="{x}" y="36" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{x + 18}" y="46">{escape(name)}</text>')
    for seconds in range(0, int(most_s) + 1, 5):
        x_ = _LEFT + seconds * scale
        parts.append(f'<path d="M{x_:.1f} {_TOP - 8} V{height - 36}" stroke="#dddddd"/>')
        parts.append(f'<text x="{x_:.1f}" y="{height - 18}" text-anchor="middle">{seconds}</text>')
    for row, account in enumerate(accounts):
        y = _TOP + row * (len(series) * _BAR + _GAP)
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 18}" text-anchor="end">{escape(account)}</text>')
        for index, (seen, colour) in enumerate(zip(series.values(), _COLOURS, strict=True)):
            waited = waits(seen.of(account))
            width = max(0.5, percentile(waited, 95) * scale) if len(waited) > 1 else 0
            at = f'x="{_LEFT}" y="{y + index * _BAR}"'
            parts.append(f'<rect {at} width="{width:.1f}" height="{_BAR - 1}" fill="{colour}"/>')
    return "\n".join([*parts, "</svg>", ""])
