"""The judge of schemas and answers: a judge that lets everything pass would make every test of a grammar worthless."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.schema_judge import Judge

DATE = {"format": "date"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (DATE, "tomorrow"),
        ({"type": "string", "format": "date"}, "2026-02-30"),
        ({"items": DATE}, ["2026-02-28", "29"]),
        ({"anyOf": [DATE, {"type": "integer"}]}, "no"),
        ({"properties": {"a": DATE, "b": {"pattern": "^b$"}}}, {"a": "no", "b": "b"}),
        ({"pattern": "^[a-z]+$"}, "a1"),
        ({"pattern": "(a)\\1"}, "ab"),
        ({"enum": ["a"]}, "b"),
        ({"const": "a"}, "b"),
        ({"maxLength": 1}, "ab"),
    ],
)
def test_what_breaks_a_rule_is_told(schema: Any, value: Any) -> None:
    judge = Judge(schema)
    assert [error.message for error in judge.iter_errors(value)]
    assert [error.message for error in judge.iter_errors(value)], "the second time too"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (DATE, "2026-02-28"),
        (DATE, 28),
        ({"format": "iri"}, "no iri"),
        ({"format": "date", "pattern": "^x"}, "xyz"),
        ({"contains": {"allOf": [DATE, {"const": ""}]}}, ["a", ""]),
        ({"pattern": "(a)\\1"}, "aa"),
        ({"pattern": r"^\w+([.-]?\w+)*@\w+([.-]?\w+)*(\.\w{2,})+$"}, f"a@b.{'c' * 500}"),
    ],
)
def test_what_keeps_them_passes(schema: Any, value: Any) -> None:
    Judge(schema).validate(value)
