"""A generation that is refused, by admission, line or engine, and one that breaks."""

from __future__ import annotations

import pytest
from gateway.domain.engine import ContextExceeded
from gateway.domain.errors import (
    GatewayError,
    InvalidRequest,
    RateLimited,
    ServerError,
    ServiceUnavailable,
    UpstreamTimeout,
)
from gateway.domain.usage import Tokens

from tests.support.accounts import new_order
from tests.support.fake_engine import DONE, Step, answer, text, usage
from tests.support.faults import Faults
from tests.support.house import build_house, drive, nothing_is_held

pytestmark = pytest.mark.anyio
BROKEN = ServerError(reason="stream_broken")


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
