"""`instructor` on the real local model: types filled through tools, schemas and JSON mode, whole and streamed.

What it fills a type with is not judged: a model of 135M parameters holds to the form because the grammar makes it.
Modes that ask for JSON in words only (`MD_JSON`, `JSON_O1`) get the form from our own field, for a model of that size
does not heed words; of a list (`create_iterable`) the first items are read, for it does not end one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.clients.scripts import report_of
from tests.support.local_stack import ROOT, LocalStack

PYTHON = ROOT / ".venv-instructor" / "bin" / "python"
SCRIPT = Path(__file__).parent / "instructor" / "modes.py"
_SCRIPT_S = 700

pytestmark = [
    pytest.mark.skipif(not PYTHON.exists(), reason="instructor has an environment of its own (make test-clients)"),
    pytest.mark.timeout(_SCRIPT_S + 100),
]


@pytest.fixture(scope="module")
def reports(stack: LocalStack) -> dict[str, Any]:
    """What each mode came to."""
    command = [PYTHON, "-W", "error::DeprecationWarning:__main__", SCRIPT]
    return report_of(command, stack, timeout_s=_SCRIPT_S, folder=ROOT)


@pytest.mark.parametrize("mode", ["TOOLS", "TOOLS_STRICT", "JSON_SCHEMA"])
def test_a_type_is_filled_at_the_first_try(reports: dict[str, Any], mode: str) -> None:
    assert reports[mode].keys() == {"city", "unit", "days", "note", "tags"}
    assert len(set(reports[mode]["tags"])) == len(reports[mode]["tags"])


@pytest.mark.parametrize("mode", ["MD_JSON", "JSON_O1"])
def test_a_mode_of_words_alone_is_held_by_our_own_field(reports: dict[str, Any], mode: str) -> None:
    assert reports[mode].keys() == {"city", "unit", "days", "note"}


@pytest.mark.parametrize("mode", ["TOOLS iterable", "JSON_SCHEMA iterable"])
def test_the_items_of_a_list_come_while_it_streams(reports: dict[str, Any], mode: str) -> None:
    assert [item.keys() for item in reports[mode]] == [{"name", "degrees"}] * 3


@pytest.mark.parametrize("mode", ["TOOLS streamed", "JSON_SCHEMA streamed"])
def test_a_type_is_filled_while_it_streams(reports: dict[str, Any], mode: str) -> None:
    assert reports[mode]["states"] > 5
    assert 1 <= len(reports[mode]["days"]) <= 2


def test_several_tools_are_called_in_one_answer(reports: dict[str, Any]) -> None:
    assert reports["PARALLEL_TOOLS"]
    assert set(reports["PARALLEL_TOOLS"]) <= {"Day", "Forecast"}


def test_json_mode_gives_an_object(reports: dict[str, Any]) -> None:
    assert isinstance(reports["JSON"], dict)
