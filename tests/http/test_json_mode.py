"""CONTRACT "JSON mode" over HTTP: what the real model writes, wherever it is cut, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.asking import Asker
from tests.support.engine_pieces import whole
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.sse_reader import DONE, read_events, text_of
from tests.support.stack import OpenedAccount, Stack

QUESTION = [{"role": "user", "content": "Name two cities as JSON."}]
CITIES = {
    "type": "object",
    "properties": {
        "cities": {"type": "array", "items": {"type": "string", "maxLength": 10}, "minItems": 2, "maxItems": 2},
        "sure": {"type": "boolean"},
    },
    "required": ["cities", "sure"],
    "additionalProperties": False,
}
FORMS: dict[str, Any] = {
    "json": "json",
    "type json": {"type": "json"},
    "type json, schema": {"type": "json", "schema": CITIES},
    "json_object": {"type": "json_object"},
    "json_schema": {"type": "json_schema", "json_schema": {"name": "cities", "schema": CITIES}},
    "json_schema, strict": {"type": "json_schema", "json_schema": {"name": "c", "schema": CITIES, "strict": True}},
}
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
).filter(lambda value: isinstance(value, dict | list))


def answer_of(ask: Asker, *, stream: bool, **fields: Any) -> tuple[str, str]:
    """Content and finish reason; a stream's joined from its deltas."""
    if stream:
        *events, done = read_events(ask.stream(**fields)[1])
        assert done == DONE
        return text_of(events), events[-1]["choices"][0]["finish_reason"]
    response = ask(**fields)
    assert response.status == 200, response.body
    (choice,) = response.json()["choices"]
    return choice["message"]["content"], choice["finish_reason"]


def holds_to(form: str, value: Any, *, whole: bool) -> None:
    """Fails where `value` is not what this form promises; a cut answer promises only its top."""
    if "schema" in form and whole:
        jsonschema.validate(value, CITIES)
    else:
        assert isinstance(value, dict | list if form in ("json", "type json") else dict)


@pytest.mark.model
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_an_answer_is_what_its_form_promises(real: Asker, form: str, stream: bool) -> None:
    content, reason = answer_of(
        real, stream=stream, messages=QUESTION, response_format=FORMS[form], temperature=1.2, seed=3, max_tokens=90
    )
    holds_to(form, json.loads(content), whole=reason == "stop")
    assert reason == "stop" or "schema" not in form, "90 tokens hold any answer that the schema allows"


@pytest.mark.model
@pytest.mark.parametrize("limit", [1, 3, 4, 7, 11])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_max_tokens_cuts_parses_and_says_length(real: Asker, limit: int, stream: bool) -> None:
    form = ["json", "json_object", "json_schema, strict"][limit % 3]
    content, reason = answer_of(
        real, stream=stream, messages=QUESTION, response_format=FORMS[form], temperature=0, max_tokens=limit
    )
    holds_to(form, json.loads(content), whole=False)
    assert reason == "length"


@pytest.mark.model
def test_a_stop_string_inside_json_leaves_json_that_parses(real: Asker) -> None:
    content, _ = answer_of(
        real,
        stream=True,
        messages=QUESTION,
        response_format=FORMS["json_schema"],
        temperature=0,
        stop=['", "', "sure"],
        max_tokens=60,
    )
    assert isinstance(json.loads(content), dict)
    assert "sure" not in content


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    document=DOCUMENTS,
    cut=st.floats(0, 1),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    piece=st.integers(1, 7),
    stream=st.booleans(),
    ascii_only=st.booleans(),
)
def test_json_cut_anywhere_parses(
    ask: Asker,
    engine: ScriptedEngine,
    document: Any,
    cut: float,
    sizes: list[int],
    piece: int,
    stream: bool,
    ascii_only: bool,
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only)
    text = text[: round(cut * len(text))].encode("utf-8", "ignore").decode()
    pieces = whole(*(text[start : start + piece] for start in range(0, len(text), piece)), reason="length")
    engine.scripts = [Script(pieces=pieces, part_sizes=sizes)]

    content, reason = answer_of(ask, stream=stream, response_format="json")

    assert isinstance(json.loads(content), dict | list)
    assert content.startswith(text)
    assert reason == "length"


REFUSED: dict[str, tuple[Any, str]] = {
    "negation": ({"type": "string", "not": {"minLength": 3}}, "not"),
    "left over": ({"type": "object", "unevaluatedProperties": False}, "unevaluatedProperties"),
    "counted items": ({"prefixItems": [{"type": "null"}], "contains": {"type": "integer"}}, "contains"),
    "a dynamic reference": ({"$dynamicRef": "#x"}, "$dynamicRef"),
    "endless": ({"$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}},
                 "$ref": "#/$defs/a"}, "$ref"),
    "a condition": ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, "if"),
    "another document": ({"$ref": "https://example.com/schema.json"}, "$ref"),
    "a multiple": ({"type": "number", "multipleOf": 0.37}, "multipleOf"),
    "a look-ahead": ({"type": "string", "pattern": "^(?=a)b"}, "pattern"),
    "a wrong type": ({"type": "text"}, "type"),
    "size": ({"enum": ["x" * 300_000]}, "bytes"),
    "depth": (json.loads('{"items":' * 50 + "{}" + "}" * 50), "deep"),
    "no schema": ([1], "schema"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_schema_that_can_not_be_enforced_is_a_400_that_names_the_keyword_and_counts_nothing(
    ask: Asker, stack: Stack, account: OpenedAccount, engine: ScriptedEngine, name: str
) -> None:
    schema, keyword = REFUSED[name]
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    for stream in (False, True):
        response = ask(response_format=form, stream=stream)
        assert (response.status, response.error["type"]) == (400, "invalid_request_error"), response.body
        assert response.error["param"] == "response_format.json_schema.schema"
        assert keyword in response.error["message"]
    assert engine.bodies == []
    told = stack.account_of(account)
    assert (told.tokens_today, told.requests_this_minute, dict(told.open)) == (0, 0, {})


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ("yaml", "response_format"),
        (7, "response_format"),
        ({}, "response_format.type"),
        ({"type": "xml"}, "response_format.type"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"name": 1, "schema": {}}}, "response_format.json_schema.name"),
        ({"type": "json", "schema": []}, "response_format.schema"),
    ],
)
def test_a_form_that_is_none_is_a_400_with_its_path(ask: Asker, engine: ScriptedEngine, form: Any, param: str) -> None:
    response = ask(response_format=form)
    assert (response.status, response.error["param"]) == (400, param)
    assert engine.bodies == []
