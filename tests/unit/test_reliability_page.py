"""The figures of docs/reliability.md are those of the last run, and a run that breaks a promise is told so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.pages import with_figures
from tests.load.__main__ import PAGE, RESULTS
from tests.load.report import fault_figures, load_figures
from tests.load.verdict import MEASURED, PROMISES, wrongs_of


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
    return found


def test_the_page_shows_the_figures_of_the_last_run(results: dict[str, Any]) -> None:
    page = PAGE.read_text("utf-8")
    again = with_figures(page, "load", load_figures(results))
    assert with_figures(again, "faults", fault_figures(results["faults"])) == page


def test_every_scene_that_was_run_kept_its_promises(results: dict[str, Any]) -> None:
    """What a busy machine can spoil is on the page as it came."""
    assert results["scenes"].keys() <= PROMISES.keys()
    for scene, numbers in results["scenes"].items():
        assert set(wrongs_of(scene, numbers, whole=False)) <= MEASURED.get(scene, {}).keys()


def test_a_broken_promise_and_a_wrong_in_the_books_are_both_told(results: dict[str, Any]) -> None:
    numbers = {**results["scenes"]["kill"], "records": {"ok": 1}, "wrong": ["leases are left"]}
    assert wrongs_of("kill", numbers) == ["nothing dead is billed", "leases are left"]


def test_a_page_without_markers_takes_no_figures() -> None:
    with pytest.raises(ValueError, match="no markers"):
        with_figures("a page", "load", "figures")
