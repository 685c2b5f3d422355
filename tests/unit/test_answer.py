"""What a client reads: events on one ASCII line each, and whole answers folded of the same pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway.domain.answer import ChoiceFold, ChunkWriter, Ending, Kind, Piece, Usage, error_event, whole_answer
from gateway.domain.errors import ServerError
from gateway.domain.usage import Tokens
from hypothesis import given
from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(codec=None) | st.sampled_from('\u2028\u2029\u0085\ud800\udfff"\\\n\r\0😀')).map(
    # two halves of a character side by side are that character to every reader of JSON
    lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)
USAGE = Usage(Tokens(5, 2), 9_000)
USAGE_JSON = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "cost": 9e-06}


def writer(kind: Kind = "chat", *, include_usage: bool = False) -> ChunkWriter:
    return ChunkWriter(kind=kind, request_id="r1", created=7, model="small", include_usage=include_usage)


def read(event: bytes) -> dict[str, Any]:
    """The JSON of an event; fails unless the event is one `data: ` line of ASCII and a blank one."""
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.isascii()
    assert len(event[:-2].decode().splitlines()) == 1
    chunk: dict[str, Any] = json.loads(event[6:])
    return chunk


@given(ANY_TEXT, st.integers(0, 7), st.booleans())
def test_any_text_travels_on_one_ascii_line_and_arrives_as_it_was(text: str, index: int, include_usage: bool) -> None:
    chunk = read(writer(include_usage=include_usage).piece(Piece(index, {"content": text})))
    assert chunk["choices"] == [{"index": index, "delta": {"content": text}, "finish_reason": None}]


@given(ANY_TEXT)
def test_any_text_of_a_completion_and_of_an_error_travels_on_one_ascii_line(text: str) -> None:
    assert read(writer("text").piece(Piece(0, {"content": text})))["choices"][0]["text"] == text
    assert read(error_event({"error": {"message": text}}))["error"]["message"] == text


@given(ANY_TEXT)
def test_the_short_way_of_writing_a_piece_writes_what_the_long_way_does(text: str) -> None:
    short = read(writer().piece(Piece(0, {"content": text})))
    long = read(writer().piece(Piece(0, {"content": text, "role": "assistant"})))
    del long["choices"][0]["delta"]["role"]
    assert short == long


@pytest.mark.parametrize(
    ("kind", "object_", "id_"),
    [("chat", "chat.completion.chunk", "chatcmpl-r1"), ("text", "text_completion", "cmpl-r1")],
)
@pytest.mark.parametrize("include_usage", [False, True])
def test_every_event_carries_the_same_id_created_and_model(
    kind: Kind, object_: str, id_: str, include_usage: bool
) -> None:
    written = writer(kind, include_usage=include_usage)
    events = [
        written.piece(Piece(0, {"content": "a"})),
        written.piece(Piece(0, {"tool_calls": []})),
        written.ending(Ending(0, "stop"), USAGE),
    ]
    for event in events:
        chunk = read(event)
        assert (chunk["id"], chunk["object"], chunk["created"], chunk["model"]) == (id_, object_, 7, "small")


def test_the_first_event_of_a_chat_choice_carries_the_role_and_a_completion_has_none() -> None:
    assert read(writer().role(1))["choices"] == [
        {"index": 1, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    ]
    assert writer("text").role(0) == b""


def test_usage_rides_on_the_last_ending_unless_it_was_asked_for_apart() -> None:
    written = writer()
    assert read(written.ending(Ending(0, "stop"), USAGE))["usage"] == USAGE_JSON
    assert "usage" not in read(written.ending(Ending(0, "stop"), None))
    assert "usage" not in read(written.piece(Piece(0, {"content": "a"})))
    assert written.usage(USAGE) == b""


def test_usage_asked_for_apart_is_one_chunk_without_choices_and_null_everywhere_else() -> None:
    written = writer(include_usage=True)
    assert read(written.usage(USAGE)) == {
        "id": "chatcmpl-r1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "small",
        "choices": [],
        "usage": USAGE_JSON,
    }
    for event in (
        written.role(0),
        written.piece(Piece(0, {"content": "a"})),
        written.piece(Piece(0, {"annotations": []})),
        written.ending(Ending(0, "stop"), USAGE),
    ):
        assert read(event)["usage"] is None


def test_an_ending_has_its_reason_and_an_empty_delta() -> None:
    assert read(writer().ending(Ending(2, "length"), None))["choices"] == [
        {"index": 2, "delta": {}, "finish_reason": "length"}
    ]
    assert read(writer("text").ending(Ending(2, "length"), None))["choices"] == [
        {"text": "", "index": 2, "finish_reason": "length"}
    ]


def test_logprobs_go_beside_the_delta() -> None:
    choice = read(writer().piece(Piece(0, {"content": "a"}, {"content": [1]})))["choices"][0]
    assert (choice["logprobs"], choice["delta"]) == ({"content": [1]}, {"content": "a"})


def test_a_failure_inside_a_stream_has_the_four_fields_of_every_error() -> None:
    assert read(error_event(ServerError().body()))["error"].keys() >= {"message", "type", "code", "param"}


@given(st.lists(ANY_TEXT))
def test_a_whole_answer_holds_what_the_stream_would_have_said(texts: list[str]) -> None:
    fold = ChoiceFold(0)
    for text in texts:
        fold.add(Piece(0, {"content": text}))
    fold.reason = "stop"
    body = whole_answer(
        kind="chat",
        request_id="r1",
        created=7,
        model="small",
        choices=[fold.to_json("chat")],
        usage=USAGE,
        extra={"search_results": texts},
    )
    assert body.isascii()
    answer = json.loads(body)
    assert answer["object"] == "chat.completion"
    assert answer["usage"] == USAGE_JSON
    assert answer["search_results"] == texts
    assert answer["choices"] == [
        # joined through JSON: a pair of surrogates cut over two pieces arrives as the character they make
        {
            "index": 0,
            "message": {"role": "assistant", "content": json.loads(json.dumps("".join(texts)))},
            "finish_reason": "stop",
        }
    ]


def test_a_whole_text_completion_has_texts_in_place_of_messages() -> None:
    fold = ChoiceFold(3)
    fold.add(Piece(3, {"content": "a"}))
    fold.reason = "length"
    assert fold.to_json("text") == {"text": "a", "index": 3, "finish_reason": "length"}


def test_the_pieces_of_tool_calls_are_joined_call_by_call() -> None:
    fold = ChoiceFold(0)
    for call in (
        {"index": 1, "id": "c1", "type": "function", "function": {"name": "g", "arguments": ""}},
        {"index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": '{"a"'}},
        {"index": 0, "function": {"arguments": ":1}"}},
        {"index": 1, "function": {"arguments": "{}"}},
    ):
        fold.add(Piece(0, {"tool_calls": [call]}))
    message = fold.to_json("chat")["message"]
    assert message["content"] is None
    assert [(call["id"], call["function"]) for call in message["tool_calls"]] == [
        ("c0", {"name": "f", "arguments": '{"a":1}'}),
        ("c1", {"name": "g", "arguments": "{}"}),
    ]


def test_annotations_and_logprobs_of_all_pieces_are_kept() -> None:
    fold = ChoiceFold(0)
    fold.add(Piece(0, {"content": "a"}, {"content": [1]}))
    fold.add(Piece(0, {"content": "b"}, {"content": [2]}))
    fold.add(Piece(0, {"annotations": ["n"]}))
    choice = fold.to_json("chat")
    assert choice["logprobs"] == {"content": [1, 2]}
    assert choice["message"]["annotations"] == ["n"]
