"""CONTRACT "Stream", on raw sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local.engine_plug import StreamFault
from infra.local.http_server import ConnectionCut
from tests.http.asking import COMPLETIONS, Asker
from tests.support import engine_pieces
from tests.support.engine_pieces import closing, opening, text_piece, whole
from tests.support.hand_engine import HandEngine
from tests.support.scripted_engine import (
    INTERNAL_STREAM_FAILURE,
    STREAM_BROKEN,
    TIMED_OUT,
    Script,
    ScriptedEngine,
)
from tests.support.sse_reader import DONE, is_comment, read_event, read_events, text_of
from tests.support.stack import MODEL, AppServer, OpenedAccount, Stack

USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, "cost": 1.2e-06}


def test_a_stream_has_exactly_the_headers_that_keep_it_flowing(ask: Asker, engine: ScriptedEngine) -> None:
    response, _ = ask.stream()
    assert response.status == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in response.headers
    assert "content-encoding" not in response.headers


def test_every_write_is_one_whole_event(ask: Asker, engine: ScriptedEngine) -> None:
    engine.scripts = [Script(pieces=whole("Hello", " world"), part_sizes=(100_000,))]
    _, chunks = ask.stream()
    assert [read_event(chunk) for chunk in chunks][-1] == DONE
    assert len(chunks) == 5


def test_the_role_comes_first_then_text_then_the_finish_with_usage_then_done(
    ask: Asker, engine: ScriptedEngine
) -> None:
    *events, done = read_events(ask.stream()[1])
    assert done == DONE
    assert [event["choices"][0]["delta"] for event in events] == [
        {"role": "assistant", "content": ""},
        {"content": "Hello"},
        {"content": " world"},
        {},
    ]
    assert [event["choices"][0]["finish_reason"] for event in events] == [None, None, None, "stop"]
    assert [event.get("usage") for event in events] == [None, None, None, USAGE]
    assert not any("usage" in event for event in events[:-1])


def test_every_chunk_has_the_same_id_created_and_model(ask: Asker, engine: ScriptedEngine) -> None:
    *events, _ = read_events(ask.stream()[1])
    assert len({(event["id"], event["object"], event["created"], event["model"]) for event in events}) == 1
    assert events[0]["id"].startswith("chatcmpl-")
    assert (events[0]["object"], events[0]["model"]) == ("chat.completion.chunk", MODEL)


def test_include_usage_puts_the_usage_into_a_chunk_without_choices(ask: Asker, engine: ScriptedEngine) -> None:
    *events, usage, done = read_events(ask.stream(stream_options={"include_usage": True})[1])
    assert done == DONE
    assert all(event["usage"] is None and len(event["choices"]) == 1 for event in events)
    assert (usage["choices"], usage["usage"]) == ([], USAGE)
    assert usage["id"] == events[0]["id"]


@pytest.mark.parametrize("include_usage", [True, False])
def test_content_is_a_string_or_absent_never_null(ask: Asker, engine: ScriptedEngine, include_usage: bool) -> None:
    *events, _ = read_events(ask.stream(stream_options={"include_usage": include_usage})[1])
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    assert all(isinstance(delta.get("content", ""), str) for delta in deltas)


def test_characters_that_break_line_readers_travel_escaped(ask: Asker, engine: ScriptedEngine) -> None:
    hostile = "a\u2028b\u2029c\u0085d\r\ne\n\nf\x00g\U0001f600 data: [DONE]"
    engine.scripts = [Script(pieces=whole(hostile))]
    response, chunks = ask.stream()
    assert response.body.isascii()
    assert b"\r" not in response.body
    assert text_of(read_events(chunks)) == hostile


TEXTS = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5)
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, sizes=SIZES)
def test_an_answer_is_the_same_however_sagemaker_cuts_it(
    ask: Asker, engine: ScriptedEngine, texts: list[str], sizes: list[int]
) -> None:
    engine.scripts = [Script(pieces=whole(*texts), part_sizes=sizes)]
    response, chunks = ask.stream()
    events = read_events(chunks)
    assert response.status == 200
    assert text_of(events) == "".join(texts)
    assert events[-1] == DONE


def test_each_event_arrives_before_the_engine_has_made_the_next(ask: Asker, stack: Stack) -> None:
    stack.engine.engine = by_hand = HandEngine()
    with ask.open_stream() as connection:
        call = by_hand.call(0)
        call.give(*opening("one"))
        assert connection.read_head()[0] == 200
        assert read_event(connection.read_chunk())["choices"][0]["delta"]["role"] == "assistant"
        assert text_of([read_event(connection.read_chunk())]) == "one"
        for number, word in enumerate(["two", "thrée", "\U0001f600"], start=2):
            call.give(text_piece(word, completion=number))
            assert text_of([read_event(connection.read_chunk())]) == word
        call.give(engine_pieces.finish_piece(), engine_pieces.usage_piece(10, 4), engine_pieces.DONE)
        assert read_event(connection.read_chunk())["choices"][0]["finish_reason"] == "stop"
        assert read_event(connection.read_chunk()) == DONE
        assert connection.read_chunk() == b""
        call.end()


def test_a_character_cut_in_two_waits_for_its_other_half(ask: Asker, stack: Stack) -> None:
    stack.engine.engine = by_hand = HandEngine()
    emoji = text_piece("\U0001f600", completion=2)
    middle = emoji.index("\U0001f600".encode()) + 2
    with ask.open_stream() as connection:
        call = by_hand.call(0)
        call.give(*opening("a"), emoji[:middle])
        connection.read_head()
        assert text_of([read_event(connection.read_chunk()), read_event(connection.read_chunk())]) == "a"
        call.give(emoji[middle:], *closing())
        assert text_of([read_event(connection.read_chunk())]) == "\U0001f600"
        assert read_events(connection.read_chunks())[-1] == DONE


@pytest.mark.parametrize(
    ("fault", "status", "type_", "reason"),
    [
        (STREAM_BROKEN, 500, "server_error", "stream_broken"),
        (TIMED_OUT, 504, "timeout_error", "engine_timeout"),
        (INTERNAL_STREAM_FAILURE, 500, "server_error", "stream_broken"),
        (ConnectionCut(), 500, "server_error", "stream_broken"),
        (None, 500, "server_error", "stream_broken"),
    ],
)
class TestABreakingEngine:
    """`None` is an engine that ends politely, and too early."""

    def test_before_the_first_event_is_a_real_status(
        self,
        ask: Asker,
        engine: ScriptedEngine,
        fault: StreamFault | None,
        status: int,
        type_: str,
        reason: str,
    ) -> None:
        engine.scripts = [Script(ending=fault)]
        response = ask(stream=True)
        assert response.status == status
        assert (response.error["type"], response.error["code"], response.error["reason"]) == (type_, status, reason)
        assert response.headers["content-type"] == "application/json"

    def test_after_it_is_an_error_event_and_no_done(
        self,
        ask: Asker,
        engine: ScriptedEngine,
        fault: StreamFault | None,
        status: int,
        type_: str,
        reason: str,
    ) -> None:
        engine.scripts = [Script(pieces=opening("Hel"), ending=fault)]
        response, chunks = ask.stream()
        events = read_events(chunks)
        assert response.status == 200
        assert text_of(events[:-1]) == "Hel"
        error = events[-1]["error"]
        assert (error["type"], error["code"], error["param"], error["reason"]) == (type_, status, None, reason)
        assert error["message"]
        assert DONE not in events

    def test_of_a_buffered_request_is_a_real_status_however_much_had_come(
        self,
        ask: Asker,
        engine: ScriptedEngine,
        fault: StreamFault | None,
        status: int,
        type_: str,
        reason: str,
    ) -> None:
        engine.scripts = [Script(pieces=opening("Hel"), ending=fault)]
        response = ask()
        assert response.status == status
        assert (response.error["type"], response.error["reason"]) == (type_, reason)
        assert "x-ratelimit-remaining-tokens" in response.headers


@pytest.fixture
def impatient(stack: Stack) -> Iterator[AppServer]:
    server = AppServer(stack.make_gateway(FIRST_BYTE_PATIENCE_S="0.05").chat_app())
    yield server
    server.stop()


def test_comments_come_while_the_model_is_silent_and_disturb_nothing(
    impatient: AppServer, stack: Stack, account: OpenedAccount
) -> None:
    stack.engine.engine = by_hand = HandEngine()
    with Asker(impatient.port, account.authorization).open_stream() as connection:
        assert connection.read_head()[0] == 200
        call = by_hand.call(0)
        assert is_comment(connection.read_chunk())
        assert is_comment(connection.read_chunk())
        call.give(*whole("Hello"))
        events = read_events(connection.read_chunks())
    assert text_of(events) == "Hello"
    assert events[-1] == DONE


def test_an_engine_that_never_pauses_gets_no_comments(ask: Asker, engine: ScriptedEngine) -> None:
    engine.scripts = [Script(pieces=whole(*["word "] * 400), part_sizes=(37,))]
    for _ in range(3):
        assert not [chunk for chunk in ask.stream()[1] if is_comment(chunk)]


def test_two_choices_have_a_role_and_a_finish_each_and_one_usage(ask: Asker, engine: ScriptedEngine) -> None:
    *events, done = read_events(ask.stream(n=2)[1])
    assert done == DONE
    assert [text_of(events, choice=index) for index in (0, 1)] == ["Hello world"] * 2
    roles = [event["choices"][0]["index"] for event in events if "role" in event["choices"][0]["delta"]]
    finishes = [event["choices"][0]["index"] for event in events if event["choices"][0]["finish_reason"]]
    assert (roles, finishes) == ([0, 1], [0, 1])
    assert [event["usage"]["completion_tokens"] for event in events if "usage" in event] == [4]


def test_a_text_completion_streams_text_without_a_role(ask: Asker, engine: ScriptedEngine) -> None:
    with ask.open_stream(path=COMPLETIONS, prompt="Say hello") as connection:
        assert connection.read_head()[0] == 200
        *events, done = read_events(connection.read_chunks())
    assert done == DONE
    assert "".join(event["choices"][0]["text"] for event in events) == "Hello world"
    assert {event["object"] for event in events} == {"text_completion"}
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
    assert events[-1]["usage"] == USAGE
