"""Connections: reuse, pipelining, streams side by side, and what the end of a response means."""

from __future__ import annotations

import json

from tests.http.asking import CHAT, Asker, chat_body
from tests.support.engine_pieces import closing, opening, text_piece, whole
from tests.support.hand_engine import HandEngine
from tests.support.http_client import Connection
from tests.support.scripted_engine import STREAM_BROKEN, Script, ScriptedEngine
from tests.support.sse_reader import DONE, read_event, read_events, text_of
from tests.support.stack import OpenedAccount, Stack


def test_a_connection_serves_one_request_after_another(ask: Asker, stack: Stack, engine: ScriptedEngine) -> None:
    stream, whole_ = (json.dumps(chat_body(stream=stream)).encode() for stream in (True, False))
    with Connection(stack.chat.port) as connection:
        for body in (stream, whole_, b"{", stream, whole_):
            connection.send("POST", CHAT, headers=ask.headers, body=body)
            response = connection.read_response()
            assert response.status == (400 if body == b"{" else 200)
            assert response.headers.get("connection", "keep-alive") == "keep-alive"


def test_a_refused_stranger_s_connection_can_go_on(ask: Asker, stack: Stack, engine: ScriptedEngine) -> None:
    body = json.dumps(chat_body()).encode()
    with Connection(stack.chat.port) as connection:
        connection.send("POST", CHAT, headers={}, body=body)
        assert connection.read_response().status == 401
        connection.send("POST", CHAT, headers=ask.headers, body=body)
        assert connection.read_response().status == 200


def test_pipelined_requests_are_answered_in_order(ask: Asker, stack: Stack, engine: ScriptedEngine) -> None:
    engine.scripts = [Script(pieces=whole(word)) for word in ("first", "second", "third")]
    with Connection(stack.chat.port) as connection:
        for stream in (True, False, True):
            connection.send("POST", CHAT, headers=ask.headers, body=json.dumps(chat_body(stream=stream)).encode())
        answers = [connection.read_response() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert [word.encode() in answer.body for word, answer in zip(("first", "second", "third"), answers, strict=True)]
    assert b"second" in answers[1].body


def test_four_streams_interleave_without_mixing(ask: Asker, stack: Stack) -> None:
    stack.engine.engine = by_hand = HandEngine()
    connections, calls = [], []
    for number in range(4):
        connections.append(ask.open_stream())
        calls.append(by_hand.call(number))
    for number, (connection, call) in enumerate(zip(connections, calls, strict=True)):
        call.give(*opening(f"{number}:"))
        assert connection.read_head()[0] == 200
        assert text_of([read_event(connection.read_chunk()), read_event(connection.read_chunk())]) == f"{number}:"
    for step in range(5):
        for number in reversed(range(4)):
            calls[number].give(text_piece(f"{number}{step}", completion=step + 2))
        for number in range(4):
            assert text_of([read_event(connections[number].read_chunk())]) == f"{number}{step}"
    for connection, call in zip(connections, calls, strict=True):
        call.give(*closing(completion=6))
        assert read_events(connection.read_chunks())[-1] == DONE
        connection.close()


def test_when_a_stream_has_ended_its_usage_is_recorded(
    ask: Asker, stack: Stack, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    for finished in range(1, 6):
        ask.stream()
        assert len(stack.usage_records(account)) == finished
        assert stack.account_of(account).open == {}


def test_when_a_whole_answer_is_there_its_usage_is_recorded(
    ask: Asker, stack: Stack, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    for finished in range(1, 6):
        assert ask().status == 200
        assert len(stack.usage_records(account)) == finished
        assert stack.account_of(account).open == {}


def test_when_a_broken_stream_has_ended_it_is_recorded_as_partial(
    ask: Asker, stack: Stack, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    engine.scripts = [Script(pieces=opening("one", "two", prompt=7), ending=STREAM_BROKEN)]
    ask.stream()
    (record,) = stack.usage_records(account)
    assert (record["status"], record["http_status"]) == ("partial", 500)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 2)


def test_a_full_record_says_what_was_asked_and_what_it_took(
    ask: Asker, stack: Stack, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    answer = ask().json()
    (record,) = stack.usage_records(account)
    assert answer["id"] == f"chatcmpl-{record['request_id']}"
    assert (record["key"], record["endpoint"], record["finish_reason"]) == (account.key_id, CHAT, "stop")
    assert (record["total_tokens"], record["cost_nano_usd"], record["stream"]) == (12, 1200, False)
