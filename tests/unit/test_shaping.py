"""Deltas and what they fold to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway.domain.shaping import JsonShaper, PlainShaper, Shaper
from gateway.domain.tool_answer import ToolAnswerShaper
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.deltas import fold

GOLDEN = Path(__file__).parents[1] / "golden"
DOCUMENTS = st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.booleans()), max_size=4)


def shaped(shaper: Shaper, text: str, *, size: int, reason: str) -> tuple[list[dict[str, Any]], str]:
    """All deltas of a text that comes in pieces of `size`, and the final reason."""
    deltas = [delta for start in range(0, len(text), size) for delta in shaper.feed(text[start : start + size])]
    last, final = shaper.finish(reason)
    return deltas + last, final


@settings(deadline=None)
@given(pieces=st.lists(st.text()))
def test_plain_text_passes_and_no_delta_is_empty(pieces: list[str]) -> None:
    shaper = PlainShaper()
    deltas = [delta for piece in pieces for delta in shaper.feed(piece)]
    assert all(delta["content"] for delta in deltas)
    assert fold(deltas)["content"] == "".join(pieces)
    assert shaper.finish("stop") == ([], "stop")


@settings(deadline=None)
@given(document=DOCUMENTS, cut=st.floats(0, 1), size=st.integers(1, 9))
def test_cut_json_parses_and_says_length(document: dict[str, Any], cut: float, size: int) -> None:
    text = json.dumps(document)
    deltas, reason = shaped(JsonShaper(), text[: round(cut * len(text))], size=size, reason="length")
    assert isinstance(json.loads(fold(deltas)["content"]), dict)
    assert all(delta["content"] for delta in deltas)
    assert reason == "length"


def test_whole_json_gets_no_closing_delta() -> None:
    assert shaped(JsonShaper(), '{"a": 1}', size=3, reason="stop")[0][-1] == {"content": "1}"}


def test_text_and_its_absence_fold_to_a_string() -> None:
    assert fold([{"content": "a"}, {"content": "b"}]) == {"role": "assistant", "content": "ab"}
    assert fold([]) == {"role": "assistant", "content": ""}


def ids() -> Any:
    """`call_0`, `call_1`, …"""
    numbers = iter(range(100))
    return lambda: f"call_{next(numbers)}"


CALL = '{"tool": "weather", "arguments": {"city": "Malm\\u00f6", "days": [1, 2]}}'


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_calls_stream_as_openai_streams_them(size: int) -> None:
    deltas, reason = shaped(ToolAnswerShaper(ids()), f"[{CALL}, {CALL}]", size=size, reason="stop")
    assert reason == "tool_calls"
    arguments = '{"city": "Malm\\u00f6", "days": [1, 2]}'
    assert fold(deltas) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": f"call_{n}", "type": "function", "function": {"name": "weather", "arguments": arguments}}
            for n in range(2)
        ],
    }
    heads = [d["tool_calls"][0] for d in deltas if "id" in d["tool_calls"][0]]
    assert [(head["index"], head["function"]["arguments"]) for head in heads] == [(0, ""), (1, "")]


@settings(deadline=None)
@given(cut=st.integers(0, len(CALL)), size=st.integers(1, 9))
def test_a_cut_call_has_arguments_that_parse_and_says_length(cut: int, size: int) -> None:
    deltas, reason = shaped(ToolAnswerShaper(ids()), CALL[:cut], size=size, reason="length")
    assert reason == "length"
    for call in fold(deltas).get("tool_calls", ()):
        assert isinstance(json.loads(call["function"]["arguments"]), dict)


@settings(deadline=None)
@given(text=st.text(), ascii_only=st.booleans(), size=st.integers(1, 9), space=st.sampled_from(["", " ", "\n  "]))
def test_a_text_answer_comes_out_as_the_text_itself(text: str, ascii_only: bool, size: int, space: str) -> None:
    written = f'{space}{{{space}"answer"{space}:{space}{json.dumps(text, ensure_ascii=ascii_only)}{space}}}'
    deltas, reason = shaped(ToolAnswerShaper(ids()), written, size=size, reason="stop")
    assert fold(deltas) == {"role": "assistant", "content": text}
    assert reason == "stop"
    for delta in deltas:
        assert delta["content"].encode()


@settings(deadline=None)
@given(text=st.text(min_size=1), cut=st.floats(0, 1), size=st.integers(1, 9))
def test_a_cut_text_answer_is_a_beginning_of_the_text(text: str, cut: float, size: int) -> None:
    written = json.dumps({"answer": text})[:-2]
    deltas, reason = shaped(ToolAnswerShaper(ids()), written[: round(cut * len(written))], size=size, reason="length")
    content = fold(deltas)["content"]
    assert text.startswith(content.removesuffix("\ufffd"))
    assert reason == "length"


@pytest.mark.parametrize(
    ("escaped", "text"),
    [("\\ud83d", "\ufffd"), ("\\ude00x", "\ufffdx"), ("\\ud83d\\ud83d\\ude00", "\ufffd😀"), ("\\ud83dx", "\ufffdx")],
)
def test_half_a_surrogate_pair_becomes_the_replacement_character(escaped: str, text: str) -> None:
    deltas, _ = shaped(ToolAnswerShaper(ids()), f'{{"answer": "{escaped}"}}', size=1, reason="stop")
    assert fold(deltas)["content"] == text


def test_text_of_an_engine_that_ignored_the_grammar_is_not_lost() -> None:
    deltas, reason = shaped(ToolAnswerShaper(ids()), "Hello!", size=2, reason="stop")
    assert (fold(deltas)["content"], reason) == ("Hello!", "stop")


@pytest.mark.parametrize("name", ["tool_call", "parallel_tool_calls", "tool_text_answer"])
def test_the_golden_streams_hold(name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    shaper = ToolAnswerShaper(ids())
    deltas = [delta for piece in golden["engine"] for delta in shaper.feed(piece)]
    last, reason = shaper.finish("stop")
    assert {"deltas": deltas + last, "finish_reason": reason} == golden["client"]
