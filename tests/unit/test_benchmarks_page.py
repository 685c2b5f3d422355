"""docs/benchmarks.md shows the figures of the last run, and its pictures are of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.page import PAGE, RESULTS, goal_figures, run_figures
from benchmarks.pages import with_figures


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
    return found


def test_the_page_shows_the_figures_of_the_last_run(results: dict[str, Any]) -> None:
    page = PAGE.read_text("utf-8")
    assert with_figures(with_figures(page, "run", run_figures(results)), "goals", goal_figures(results)) == page


def test_the_pictures_are_of_the_last_run(results: dict[str, Any], tmp_path: Path) -> None:
    report.draw(results, tmp_path)
    drawn = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    assert drawn == {name: (PAGE.parent / "images" / name).read_text("utf-8") for name in drawn}
    assert set(re.findall(r"images/(bench-[a-z]+\.svg)", PAGE.read_text("utf-8"))) == drawn.keys()


def test_what_is_added_is_reckoned_round_by_round() -> None:
    """A round in which everything was slow says nothing about who is."""
    of = {"upstream": [1.0, 2.0, 10.0], "gateway": [3.0, 4.0, 12.0], "peer": [2.0, 4.0, 20.0]}
    rows = {name: _everywhere(values) for name, values in of.items()}
    found = report.added({"buffered": rows, "streams": rows})
    assert found["gateway"]["p50_ms_1"] == {"median": 2.0, "of": [2.0, 2.0, 2.0]}
    assert found["peer"]["frames_per_s_over_ours"]["of"] == pytest.approx([2 / 3, 1.0, 20 / 12])
    assert "upstream" not in found


def test_a_run_without_a_peer_says_so_in_one_line(results: dict[str, Any]) -> None:
    without = {**results, "not_measured": {"A peer": "there is no checkout"}}
    assert "\nNot measured: A peer, there is no checkout.\n" in run_figures(without)
    assert "not measured: A peer, there is no checkout" in report.table(without).splitlines()


def _everywhere(values: list[float]) -> dict[str, Any]:
    columns = [f"{name}_{open_}" for name in ("p50_ms", "p99_ms", "requests_per_s") for open_ in report.OPENS]
    numbers = {"median": sorted(values)[1], "of": values}
    return dict.fromkeys((*columns, "first_ms", "frames_per_s"), numbers)
