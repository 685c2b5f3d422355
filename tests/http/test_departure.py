"""Clients that leave before the end: the engine stops, and nothing of theirs stays behind."""

from __future__ import annotations

import pytest

from tests.http.asking import Asker
from tests.support.engine_pieces import opening, whole
from tests.support.eventually import eventually
from tests.support.hand_engine import HandEngine
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.sse_reader import read_event
from tests.support.stack import SECOND_MODEL, OpenedAccount, Stack


def nothing_is_held(stack: Stack, account: OpenedAccount) -> bool:
    now = stack.account_of(account)
    return not now.open and account.id not in {holder.account_id for holder in stack.line().open.values()}


def test_a_client_that_leaves_in_the_middle_stops_the_engine_and_pays_for_what_came(
    stack: Stack, account: OpenedAccount, ask: Asker
) -> None:
    stack.engine.engine = by_hand = HandEngine()
    connection = ask.open_stream()
    call = by_hand.call(0)
    call.give(*opening("one", "two", "three", prompt=20))
    connection.read_head()
    for _ in range(4):
        read_event(connection.read_chunk())
    connection.close()
    assert call.wait_left()
    assert eventually(lambda: nothing_is_held(stack, account))
    (record,) = stack.usage_records(account)
    assert (record["status"], record["http_status"]) == ("partial", 499)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (20, 3)
    assert stack.account_of(account).tokens_today == 23


def test_open_calls_of_a_scripted_engine_drop_to_none(
    stack: Stack, account: OpenedAccount, ask: Asker, engine: ScriptedEngine
) -> None:
    engine.scripts = [Script(pieces=opening("one"), silence_s=600)]
    connection = ask.open_stream()
    connection.read_head()
    assert engine.open_calls == 1
    connection.close()
    assert eventually(lambda: engine.open_calls == 0)
    assert eventually(lambda: nothing_is_held(stack, account))


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_before_the_first_token_pays_nothing(
    stack: Stack, account: OpenedAccount, ask: Asker, stream: bool
) -> None:
    stack.engine.engine = by_hand = HandEngine()
    connection = ask.open_stream(stream=stream)
    call = by_hand.call(0)
    connection.close()
    assert call.wait_left()
    assert eventually(lambda: nothing_is_held(stack, account))
    (record,) = stack.usage_records(account)
    assert (record["status"], record["http_status"], record["total_tokens"]) == ("failed", 499, 0)
    assert stack.account_of(account).tokens_today == 0


def test_a_client_of_a_buffered_answer_that_leaves_stops_the_engine_and_pays_nothing(
    stack: Stack, account: OpenedAccount, ask: Asker
) -> None:
    stack.engine.engine = by_hand = HandEngine()
    connection = ask.open_stream(stream=False)
    call = by_hand.call(0)
    call.give(*opening("one", "two"))
    connection.close()
    assert call.wait_left()
    assert eventually(lambda: nothing_is_held(stack, account))
    assert stack.account_of(account).tokens_today == 0


def test_a_client_that_leaves_the_line_frees_its_place(stack: Stack, account: OpenedAccount, ask: Asker) -> None:
    stack.run(stack.gateway.lines.describe(SECOND_MODEL, status="ready", copies=1, slots=1))
    stack.second_engine.engine = by_hand = HandEngine()
    with ask.open_stream(model=SECOND_MODEL) as holder:
        call = by_hand.call(0)
        waiter = ask.open_stream(model=SECOND_MODEL)
        assert eventually(lambda: len(stack.line(SECOND_MODEL).waiting) == 1)
        waiter.close()
        assert eventually(lambda: not stack.line(SECOND_MODEL).waiting)
        assert eventually(lambda: len(stack.account_of(account).open) == 1)
        call.give(*whole("still here"))
        assert holder.read_response().status == 200
    assert len(by_hand.calls) == 1
    assert sorted(record["status"] for record in stack.usage_records(account)) == ["failed", "ok"]


def test_who_waited_in_line_is_served_when_the_slot_comes_free(stack: Stack, ask: Asker) -> None:
    stack.run(stack.gateway.lines.describe(SECOND_MODEL, status="ready", copies=1, slots=1))
    stack.second_engine.engine = by_hand = HandEngine()
    with ask.open_stream(model=SECOND_MODEL) as first:
        call = by_hand.call(0)
        with ask.open_stream(model=SECOND_MODEL) as second:
            assert eventually(lambda: len(stack.line(SECOND_MODEL).waiting) == 1)
            call.give(*whole("first"))
            assert b"first" in first.read_response().body
            by_hand.call(1).give(*whole("second"))
            assert b"second" in second.read_response().body


def test_departures_leave_no_connection_behind(stack: Stack, ask: Asker) -> None:
    stack.engine.engine = by_hand = HandEngine()
    connections = [ask.open_stream() for _ in range(4)]
    calls = [by_hand.call(number) for number in range(4)]
    for call in calls:
        call.give(*opening("one"))
    for connection in connections:
        connection.read_head()
        connection.close()
    assert all(call.wait_left() for call in calls)
    engine_client = stack.chat_gateway.clients.wire("sagemaker-runtime")
    assert eventually(lambda: engine_client.working == 0)
