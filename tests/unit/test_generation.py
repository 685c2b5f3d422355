"""A generation from admission to settlement: whole, cut, refused, silent, abandoned."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from gateway.application.choices import Choice
from gateway.application.searching import SearchOrder
from gateway.domain.admission import Account
from gateway.domain.answer import Ending
from gateway.domain.engine import ContextExceeded
from gateway.domain.errors import (
    GatewayError,
    InvalidRequest,
    RateLimited,
    ServerError,
    ServiceUnavailable,
    UpstreamTimeout,
)
from gateway.domain.search import Mode, SearchPlan, WebResult
from gateway.domain.shaping import PlainShaper
from gateway.domain.usage import CLIENT_GONE, Lease, Tokens

from tests.support.accounts import new_lease, new_order
from tests.support.fake_engine import DONE, Gate, Script, Silence, Step, answer, finish, text, usage
from tests.support.fake_ledger import FakeLedger
from tests.support.fakes import FakeSearch
from tests.support.faults import Faults, When
from tests.support.house import PATIENCE_S, TIMEOUT_S, House, build_house, drive

pytestmark = pytest.mark.anyio
BROKEN = ServerError(reason="stream_broken")


async def nothing_is_held(house: House) -> None:
    """No lease, no slot, no place in the line, and the counters hold only what was used."""
    account = await house.account()
    assert dict(account.open) == {}
    assert await house.held() == set()
    assert account.tokens_today == sum(record.tokens.total for record in house.settled())


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


@pytest.mark.parametrize(
    "refusal",
    [
        InvalidRequest("no"),
        ServiceUnavailable("busy", reason="line_full", retry_after_s=5),
        UpstreamTimeout("late"),
        ServerError(reason="engine_failed"),
        ContextExceeded(prompt_tokens=200, context_tokens=100),
    ],
    ids=lambda refusal: type(refusal).__name__,
)
async def test_a_refusal_of_the_engine_is_raised_before_any_piece_and_charges_nothing(refusal: GatewayError) -> None:
    house = await build_house(refusal)
    with pytest.raises(type(refusal)) as caught:
        await house.generate.start(new_order(house.customer))
    (settlement,) = house.settled()
    assert (settlement.status, settlement.http_status) == ("failed", refusal.status)
    assert settlement.reason == (refusal.reason or refusal.type)
    assert (settlement.tokens, settlement.cost_nano_usd) == (Tokens(), 0)
    assert caught.value.headers["x-ratelimit-limit-tokens"] == "1000"
    await nothing_is_held(house)


async def test_a_refused_admission_runs_and_records_nothing() -> None:
    house = await build_house(answer("a"))
    house.books.pages[house.customer.account.id].counters["t20261123"] = 1000
    with pytest.raises(RateLimited):
        await house.generate.start(new_order(house.customer))
    assert (house.settled(), house.engine.bodies) == ([], [])
    assert await house.held() == set()


async def test_a_used_up_day_is_told_to_the_bus_once() -> None:
    house = await build_house()
    house.books.pages[house.customer.account.id].counters["t20261123"] = 1000
    for _ in range(3):
        with pytest.raises(RateLimited):
            await house.generate.start(new_order(house.customer))
    assert house.bus.published == [
        (
            "QuotaReached",
            {
                "account": house.customer.account.id,
                "plan": "free",
                "day": "20261123",
                "limit_tokens": 1000,
                "used_tokens": 1000,
            },
        ),
    ]


async def test_a_used_up_day_is_refused_as_such_even_if_it_can_not_be_told() -> None:
    house = await build_house(faults=Faults(every=frozenset({"claim_quota_event"})))
    house.books.pages[house.customer.account.id].counters["t20261123"] = 1000
    with pytest.raises(RateLimited) as caught:
        await house.generate.start(new_order(house.customer))
    assert caught.value.reason == "daily_quota_exceeded"
    assert house.bus.published == []


async def test_a_refusal_of_the_line_is_settled_and_never_reaches_the_engine() -> None:
    house = await build_house(answer("a"))
    await house.lines.describe("small", status="warming", copies=0, slots=0)
    with pytest.raises(ServiceUnavailable) as caught:
        await house.generate.start(new_order(house.customer))
    assert caught.value.reason == "model_warming"
    (settlement,) = house.settled()
    assert (settlement.status, settlement.http_status, settlement.tokens) == ("failed", 503, Tokens())
    assert house.engine.bodies == []
    await nothing_is_held(house)


async def test_a_stream_that_breaks_after_its_first_piece_charges_what_the_engine_had_counted() -> None:
    house = await build_house([text("a", completion=1), text("b", completion=2), BROKEN])
    with pytest.raises(ServerError):
        await drive(house, new_order(house.customer))
    (settlement,) = house.settled()
    assert (settlement.status, settlement.http_status, settlement.tokens) == ("partial", 500, Tokens(5, 2))
    assert house.engine.streams[0].closed
    await nothing_is_held(house)


async def test_a_stream_that_breaks_before_any_count_charges_the_pieces_that_came() -> None:
    house = await build_house([text("a"), text("b"), text("c"), BROKEN])
    with pytest.raises(ServerError):
        await drive(house, new_order(house.customer))
    (settlement,) = house.settled()
    assert (settlement.status, settlement.tokens) == ("partial", Tokens(0, 3))


async def test_a_buffered_answer_that_breaks_was_never_delivered_and_charges_nothing() -> None:
    house = await build_house([text("a", completion=1), BROKEN])
    with pytest.raises(ServerError):
        await drive(house, new_order(house.customer, stream=False))
    (settlement,) = house.settled()
    assert (settlement.status, settlement.http_status) == ("failed", 500)
    assert (settlement.tokens, settlement.cost_nano_usd) == (Tokens(), 0)
    await nothing_is_held(house)


@pytest.mark.parametrize(
    "script",
    [
        [text("a", completion=1)],
        [text("a"), DONE],
        [text("a"), usage(), DONE],
        [],
        [DONE],
        [text("a"), b"data: {oops\n\n"],
    ],
    ids=["no end", "no finish", "usage without finish", "nothing", "only the end", "no json"],
)
async def test_an_answer_without_its_finish_is_broken_and_never_told_as_whole(script: list[Step]) -> None:
    house = await build_house(script)
    with pytest.raises(ServerError) as caught:
        await drive(house, new_order(house.customer))
    assert caught.value.reason == "stream_broken"
    assert house.settled()[0].status == ("partial" if script and script[0] != DONE else "failed")
    await nothing_is_held(house)


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


async def test_a_client_that_leaves_mid_stream_pays_what_the_engine_had_counted() -> None:
    house = await build_house(answer("a", "b", "c"))
    _, told, settlement = await drive(house, new_order(house.customer), leave_after=2)
    assert told.texts == ["a", "b"]
    assert (settlement.status, settlement.http_status, settlement.reason) == ("partial", CLIENT_GONE, "client_gone")
    assert settlement.tokens == Tokens(5, 2)
    assert house.settled() == [settlement]
    assert house.engine.streams[0].closed
    await nothing_is_held(house)


async def test_a_client_that_leaves_before_the_first_piece_pays_nothing() -> None:
    opened = asyncio.Event()
    house = await build_house([Gate(opened), *answer("a")], patience_s=0.01)
    run = await house.generate.start(new_order(house.customer))
    settlement = await run.close()
    assert (settlement.status, settlement.http_status, settlement.tokens) == ("failed", CLIENT_GONE, Tokens())
    assert house.engine.streams[0].closed
    await nothing_is_held(house)


async def test_a_client_that_leaves_while_the_run_starts_pays_nothing() -> None:
    house = await build_house([Gate(asyncio.Event())])
    start = asyncio.create_task(house.generate.start(new_order(house.customer)))
    while not house.engine.streams:
        await asyncio.sleep(0)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    (settlement,) = house.settled()
    assert (settlement.status, settlement.http_status, settlement.tokens) == ("failed", CLIENT_GONE, Tokens())
    assert house.engine.streams[0].closed
    await nothing_is_held(house)


@pytest.mark.parametrize("taken", [False, True], ids=["before the write", "after the write"])
async def test_a_client_that_leaves_while_it_is_admitted_leaves_no_lease(taken: bool) -> None:
    house = await build_house(answer("a"))
    reached = asyncio.Event()

    class SlowLedger(FakeLedger):
        async def admit(self, lease: Lease, *, key_hash: str | None) -> Account:
            account = await super().admit(lease, key_hash=key_hash) if taken else None
            reached.set()
            await asyncio.Event().wait()
            assert account is not None
            return account

    generate = replace(house.generate, ledger=SlowLedger(house.books))
    start = asyncio.create_task(generate.start(new_order(house.customer)))
    await reached.wait()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert [record.http_status for record in house.settled()] == ([CLIENT_GONE] if taken else [])
    await nothing_is_held(house)


async def test_a_search_before_the_answer_is_paid_with_it_and_told_before_the_first_piece() -> None:
    backend = FakeSearch([WebResult(title="T", url="https://t.example/", snippet="s", source="t.example")])
    house = await build_house(
        [text('{"query": "Eiffel Tower height"}', completion=3), *answer()], answer("a"), search=backend
    )
    order = replace(new_order(house.customer), search=search_order("force"))
    run, told, settlement = await drive(house, order)
    assert backend.queries == ["Eiffel Tower height"]
    assert [extra.fields["search_results"][0]["url"] for extra in told.extras] == ["https://t.example/"]
    assert run.headers["x-search-status"] == "searched"
    assert (told.texts, settlement.searches) == (["a"], 1)
    assert settlement.tokens == Tokens(5 + 5, 0 + 1)
    assert settlement.cost_nano_usd == 5 + 5 + 2 + 5_000_000
    assert house.engine.bodies == [{"max_tokens": 9}, {"max_tokens": 7}]
    await nothing_is_held(house)


async def test_a_search_that_must_be_had_and_can_not_refuses_before_the_answer_and_charges_nothing() -> None:
    house = await build_house(answer('{"query": "q"}'), search=FakeSearch())
    with pytest.raises(ServiceUnavailable) as caught:
        await house.generate.start(replace(new_order(house.customer), search=search_order("force")))
    assert caught.value.reason == "search_unavailable"
    (settlement,) = house.settled()
    assert (settlement.status, settlement.http_status, settlement.cost_nano_usd) == ("failed", 503, 0)
    await nothing_is_held(house)


async def test_a_search_that_may_be_had_and_can_not_is_answered_without_and_said_so() -> None:
    house = await build_house(answer("a"), search=None)
    run, told, settlement = await drive(house, replace(new_order(house.customer), search=search_order("auto")))
    assert run.headers["x-search-status"] == "unavailable"
    assert (told.texts, told.extras, settlement.searches) == (["a"], [], 0)


def search_order(mode: Mode) -> SearchOrder:
    """A search whose question is asked with 9 tokens and whose answer with 7."""
    return SearchOrder(
        plan=SearchPlan(mode=mode, count=3),
        conversation=[{"role": "user", "content": "How high is the Eiffel Tower?"}],
        question=lambda messages, schema: {"max_tokens": 9},
        answer=lambda found: [Choice(index=0, body={"max_tokens": 7}, new_shaper=PlainShaper)],
    )


async def test_a_client_that_leaves_while_it_waits_in_line_leaves_the_line() -> None:
    house = await build_house(answer("a"), slots=1)
    await house.lines.take("small", request_id="other", account_id="other", deadline_s=house.clock.now_s() + 900)
    start = asyncio.create_task(house.generate.start(new_order(house.customer)))
    while len(await house.held()) < 2:
        await asyncio.sleep(0)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert await house.held() == {"other"}
    assert [record.http_status for record in house.settled()] == [CLIENT_GONE]
    assert (await house.account()).tokens_today == 0


async def test_the_wait_in_line_is_recorded_apart_from_the_engines_time() -> None:
    house = await build_house(answer("a"), slots=1)
    await house.lines.take("small", request_id="other", account_id="other", deadline_s=house.clock.now_s() + 3)
    _, _, settlement = await drive(house, new_order(house.customer))
    assert settlement.line_ms is not None
    assert settlement.first_token_ms is not None
    assert 3000 <= settlement.line_ms <= settlement.first_token_ms


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


async def test_too_many_tokens_for_the_context_are_clipped_to_what_is_left_and_asked_again() -> None:
    house = await build_house(ContextExceeded(prompt_tokens=90, context_tokens=100), answer("a"))
    body: dict[str, Any] = {"max_tokens": 50, "messages": ["m"]}
    _, told, _ = await drive(house, new_order(house.customer, bodies=[body]))
    assert told.texts == ["a"]
    assert house.engine.bodies == [body, {"max_tokens": 10, "messages": ["m"]}]


@pytest.mark.parametrize(("prompt", "asked"), [(100, 50), (130, 50), (50, 50), (20, 50)])
async def test_a_refused_context_is_not_asked_again_where_clipping_can_not_help(prompt: int, asked: int) -> None:
    house = await build_house(ContextExceeded(prompt_tokens=prompt, context_tokens=100), answer("a"))
    with pytest.raises(ContextExceeded):
        await house.generate.start(new_order(house.customer, bodies=[{"max_tokens": asked}]))
    assert len(house.engine.bodies) == 1


async def test_a_second_refusal_of_the_clipped_request_is_final() -> None:
    refusal = ContextExceeded(prompt_tokens=90, context_tokens=100)
    house = await build_house(refusal, refusal, answer("a"))
    with pytest.raises(ContextExceeded):
        await house.generate.start(new_order(house.customer))
    assert len(house.engine.bodies) == 2
    await nothing_is_held(house)


async def test_dead_leases_that_admission_saw_are_settled_as_lost() -> None:
    house = await build_house(answer("a"))
    dead = new_lease(house.customer, reserved_tokens=300, admitted_s=house.clock.now_s() - 900, holds_s=600)
    await house.generate.ledger.admit(dead, key_hash=house.customer.key.hash)
    await drive(house, new_order(house.customer))
    assert {record.lease.request_id: record.status for record in house.settled()}[dead.request_id] == "lost"
    await nothing_is_held(house)


async def test_counters_of_days_and_minutes_gone_by_are_removed_at_settlement() -> None:
    house = await build_house(answer("a"), answer("a"))
    await drive(house, new_order(house.customer))
    house.clock.advance(2 * 86_400)
    await drive(house, new_order(house.customer))
    counters = house.books.pages[house.customer.account.id].counters
    assert sorted(counters) == ["r29926800", "t20261125"]


async def test_the_lease_outlives_all_that_its_request_may_do() -> None:
    house = await build_house([Silence(10_000)])
    run = await house.generate.start(new_order(house.customer))
    (lease,) = (await house.account()).open.values()
    assert lease.deadline_s > lease.admitted_s + 20 + TIMEOUT_S
    await run.close()


async def test_a_settlement_that_the_ledger_refuses_waits_in_the_outbox() -> None:
    house = await build_house(answer("a"), faults=Faults(every=frozenset({"settle"})))
    _, _, settlement = await drive(house, new_order(house.customer))
    assert house.settled() == []
    assert house.outbox.kept == [settlement]
    assert await house.held() == set()
    assert len((await house.account()).open) == 1


async def test_a_settlement_that_nobody_takes_leaves_its_lease_for_the_sweep() -> None:
    house = await build_house(answer("a"), faults=Faults(every=frozenset({"settle", "put"})))
    _, _, settlement = await drive(house, new_order(house.customer))
    assert settlement.status == "ok"
    assert (house.settled(), house.outbox.kept) == ([], [])
    assert list((await house.account()).open) == [settlement.lease.request_id]
    assert await house.held() == set()


async def test_a_slot_that_can_not_be_given_back_does_not_spoil_the_answer() -> None:
    house = await build_house(answer("a"), faults=Faults(every=frozenset({"leave"})))
    _, told, settlement = await drive(house, new_order(house.customer))
    assert told.texts == ["a"]
    assert house.settled() == [settlement]
    line = await house.lines.look("small")
    assert [holder.deadline_s for holder in line.open.values()] == [settlement.lease.admitted_s + TIMEOUT_S + 15]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("busy", [False, True], ids=["slot free", "waits in line"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_whatever_call_fails_there_is_one_settlement_or_one_lease_and_no_slot_is_kept(
    when: When, busy: bool, stream: bool
) -> None:
    names: list[str] = []
    for at in range(100):
        house = await _run_with_a_fault(Faults(at=at, when=when), busy=busy, stream=stream)
        if not house.faults.failed:
            break
        names += house.faults.failed
    assert not house.faults.failed, "every call has failed once"
    expected = {"admit", "take", "open", "read", "leave", "settle"}
    assert set(names) == (expected | {"join", "look", "take_turn"} if busy else expected)


async def _run_with_a_fault(faults: Faults, *, busy: bool, stream: bool) -> House:
    house = await build_house(answer("a", "b"), faults=faults, slots=1)
    leaving: list[asyncio.Task[None]] = []
    if busy:
        await house.lines.take("small", request_id="other", account_id="other", deadline_s=house.clock.now_s() + 900)
        looks = iter(range(100))

        def give_way() -> None:
            if next(looks) == 2:
                leaving.append(asyncio.create_task(house.lines.leave("small", "other")))

        house.lines.on_look = give_way
    error: GatewayError | None = None
    try:
        await drive(house, new_order(house.customer, stream=stream))
    except GatewayError as raised:
        error = raised
    await asyncio.sleep(0.001)
    house.lines.on_look = lambda: None
    failed = set(faults.failed)
    told = (faults.at, failed, faults.when)
    account = await house.account()
    assert len(house.settled()) + len(account.open) == (0 if failed == {"admit"} and faults.when == "before" else 1), (
        told
    )
    if failed == {"settle"}:
        assert len(house.outbox.kept) == 1, told
    for record in [*house.settled(), *house.outbox.kept]:
        assert record.http_status == (error.status if error else 200), told
        assert (record.status == "ok") == (error is None), told
        if record.status == "failed":
            assert (record.tokens, record.cost_nano_usd) == (Tokens(), 0), told
        if record.status == "partial":
            assert stream, told
            assert record.tokens.completion > 0, told
    held = await house.held() - {"other"}
    assert not held or failed == {"leave"}, told
    return house
