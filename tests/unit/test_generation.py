"""A generation from admission to settlement: whole answers, silences and time, choices, the context."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway.domain.answer import Ending
from gateway.domain.engine import ContextExceeded
from gateway.domain.errors import ServerError, UpstreamTimeout
from gateway.domain.usage import Tokens

from tests.support.accounts import new_order
from tests.support.fake_engine import DONE, Gate, Script, Silence, answer, finish, text
from tests.support.house import PATIENCE_S, TIMEOUT_S, build_house, drive, nothing_is_held

pytestmark = pytest.mark.anyio
BROKEN = ServerError(reason="stream_broken")


async def test_a_whole_answer_is_told_and_settled_once_with_the_engines_counts() -> None:
    house = await build_house(answer("Hello", " world"))
    order = new_order(house.customer)
    run, told, settlement = await drive(house, order)
    assert (told.texts, told.endings) == (["Hello", " world"], [Ending(0, "stop")])
    assert house.settled() == [settlement]
    assert (settlement.status, settlement.http_status, settlement.finish_reason) == ("ok", 200, "stop")
    assert (settlement.line_ms, settlement.reason) == (0, None)
    assert settlement.tokens == run.usage.tokens == Tokens(5, 2)
    assert settlement.cost_nano_usd == run.usage.cost_nano_usd == 9
    assert settlement.lease.request_id == order.request_id
    assert house.engine.streams[0].closed
    await nothing_is_held(house)


async def test_the_second_close_of_a_run_settles_nothing_more() -> None:
    house = await build_house(answer("a"))
    run, _, settlement = await drive(house, new_order(house.customer))
    assert await run.close(BROKEN) is settlement
    assert len(house.settled()) == 1


async def test_the_slot_is_given_back_with_the_last_token_before_the_run_is_closed() -> None:
    house = await build_house(answer("a"))
    run = await house.generate.start(new_order(house.customer))
    async for _ in run.pieces():
        pass
    await asyncio.sleep(0.001)
    assert await house.held() == set()
    assert house.settled() == []
    await run.close()
    await nothing_is_held(house)


async def test_only_a_whole_answer_counts_into_the_service_time_of_the_line() -> None:
    house = await build_house([text("a", completion=1), Silence(4), *answer("b")], [text("a"), BROKEN])
    await drive(house, new_order(house.customer))
    assert (await house.lines.look("small")).service_s == 4
    house.clock.advance(100)
    with pytest.raises(ServerError):
        await drive(house, new_order(house.customer))
    assert (await house.lines.look("small")).service_s == 4


async def test_an_answer_that_ends_without_the_end_mark_is_whole_by_its_finish() -> None:
    house = await build_house([text("a", completion=1), finish("length")])
    _, told, settlement = await drive(house, new_order(house.customer))
    assert told.endings == [Ending(0, "length")]
    assert (settlement.status, settlement.tokens) == ("ok", Tokens(5, 1))


async def test_what_comes_behind_the_end_mark_is_never_read() -> None:
    house = await build_house([*answer("a"), BROKEN])
    _, _, settlement = await drive(house, new_order(house.customer))
    assert settlement.status == "ok"
    assert house.engine.streams[0].closed


async def test_parts_cut_inside_characters_and_lines_tell_the_same_answer() -> None:
    body = b"".join(step for step in answer("wörld", " 😀") if isinstance(step, bytes))
    house = await build_house([body[index : index + 7] for index in range(0, len(body), 7)])
    _, told, settlement = await drive(house, new_order(house.customer))
    assert (told.texts, settlement.tokens) == (["wörld", " 😀"], Tokens(5, 2))


async def test_a_run_starts_without_its_first_piece_after_patience_and_tells_the_silence() -> None:
    opened = asyncio.Event()
    house = await build_house([Gate(opened), *answer("a")], patience_s=0.01)
    run = await house.generate.start(new_order(house.customer))
    pieces = run.pieces()
    assert await anext(pieces) == []
    opened.set()
    assert [batch async for batch in pieces if batch][-1] == [Ending(0, "stop")]
    assert (await run.close()).status == "ok"


async def test_each_silence_of_patience_is_told_as_an_empty_batch() -> None:
    house = await build_house([text("a", completion=1), Silence(3.5 * PATIENCE_S), *answer("b")])
    _, told, settlement = await drive(house, new_order(house.customer))
    assert (told.texts, told.silences) == (["a", "b"], 4)
    assert settlement.duration_ms == 35_000
    assert settlement.first_token_ms == 0


async def test_a_silence_is_not_the_first_token() -> None:
    house = await build_house([Silence(12), *answer("a")])
    _, told, settlement = await drive(house, new_order(house.customer))
    assert told.silences == 2
    assert settlement.first_token_ms == 12_000


async def test_the_wait_in_line_is_recorded_apart_from_the_engines_time() -> None:
    house = await build_house(answer("a"), slots=1)
    await house.lines.take("small", request_id="other", account_id="other", deadline_s=house.clock.now_s() + 3)
    _, _, settlement = await drive(house, new_order(house.customer))
    assert settlement.line_ms is not None
    assert settlement.first_token_ms is not None
    assert 3000 <= settlement.line_ms <= settlement.first_token_ms


@pytest.mark.parametrize(
    ("script", "status", "tokens"),
    [
        ([Silence(10_000)], "failed", Tokens()),
        ([text("a", completion=1), Silence(10_000)], "partial", Tokens(5, 1)),
    ],
)
async def test_a_generation_over_its_time_ends_as_a_timeout(script: Script, status: str, tokens: Tokens) -> None:
    house = await build_house(script)
    began_s = house.clock.now_s()
    with pytest.raises(UpstreamTimeout) as caught:
        await drive(house, new_order(house.customer))
    assert caught.value.reason == "engine_timeout"
    assert house.clock.now_s() - began_s == TIMEOUT_S
    (settlement,) = house.settled()
    assert (settlement.status, settlement.http_status, settlement.tokens) == (status, 504, tokens)
    await nothing_is_held(house)


async def test_an_engine_that_talks_on_and_on_is_ended_at_the_time_limit() -> None:
    house = await build_house([step for word in range(99) for step in (text("a", completion=word), Silence(1))])
    with pytest.raises(UpstreamTimeout):
        await drive(house, new_order(house.customer))
    assert house.settled()[0].tokens == Tokens(5, 59)


@pytest.mark.parametrize("ahead_s", [3600, -3600])
async def test_a_clock_that_is_set_while_a_run_is_open_neither_cuts_nor_lengthens_it(ahead_s: int) -> None:
    house = await build_house(answer("Hello", " world"))
    run = await house.generate.start(new_order(house.customer))
    house.clock.set_ahead(ahead_s)
    assert [batch async for batch in run.pieces()]
    settlement = await run.close()
    assert (settlement.status, settlement.duration_ms) == ("ok", 0)
    await nothing_is_held(house)


async def test_a_clock_that_is_set_back_does_not_let_an_engine_talk_longer() -> None:
    house = await build_house([text("a"), *[Silence(PATIENCE_S / 2), text("b")] * 20, finish("length"), DONE])
    run = await house.generate.start(new_order(house.customer))
    house.clock.set_ahead(-3600)
    with pytest.raises(UpstreamTimeout):
        [batch async for batch in run.pieces()]
    await run.close()


async def test_several_choices_of_one_prompt_pay_for_the_prompt_once() -> None:
    house = await build_house(answer("a"), answer("b", "c"), answer("d"))
    body = {"max_tokens": 9}
    run, told, settlement = await drive(house, new_order(house.customer, bodies=[body, body, body]))
    assert told.endings == [Ending(0, "stop"), Ending(1, "stop"), Ending(2, "stop")]
    assert settlement.tokens == run.usage.tokens == Tokens(5, 4)
    await nothing_is_held(house)


async def test_a_break_in_a_later_choice_keeps_what_the_earlier_ones_used() -> None:
    house = await build_house(answer("a"), [text("b", completion=1), BROKEN])
    with pytest.raises(ServerError):
        await drive(house, new_order(house.customer, bodies=[{"max_tokens": 9}] * 2))
    (settlement,) = house.settled()
    assert (settlement.status, settlement.tokens) == ("partial", Tokens(5, 2))


@pytest.mark.parametrize("prompt", [90, 51], ids=["counted", "counted as far as max_tokens takes"])
async def test_too_many_tokens_for_the_context_are_asked_for_again_as_what_is_left(prompt: int) -> None:
    refusal = ContextExceeded(prompt_tokens=prompt, context_tokens=100, at_least=prompt == 51)
    house = await build_house(refusal, answer("a"))
    body: dict[str, Any] = {"max_tokens": 50, "messages": ["m"]}
    _, told, _ = await drive(house, new_order(house.customer, bodies=[body]))
    assert told.texts == ["a"]
    assert house.engine.bodies == [body, {"messages": ["m"]}]


@pytest.mark.parametrize(("prompt", "asked"), [(100, 50), (130, 50), (50, 50), (20, 50)])
async def test_a_refused_context_is_not_asked_again_where_fewer_tokens_can_not_help(prompt: int, asked: int) -> None:
    house = await build_house(ContextExceeded(prompt_tokens=prompt, context_tokens=100), answer("a"))
    with pytest.raises(ContextExceeded):
        await house.generate.start(new_order(house.customer, bodies=[{"max_tokens": asked}]))
    assert len(house.engine.bodies) == 1


async def test_a_second_refusal_of_the_context_is_final() -> None:
    refusal = ContextExceeded(prompt_tokens=90, context_tokens=100)
    house = await build_house(refusal, refusal, answer("a"))
    with pytest.raises(ContextExceeded):
        await house.generate.start(new_order(house.customer))
    assert len(house.engine.bodies) == 2
    await nothing_is_held(house)
