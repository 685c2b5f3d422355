"""A client that leaves: whenever it does, it pays what was delivered, and nothing is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from gateway.domain.admission import Account
from gateway.domain.usage import CLIENT_GONE, Lease, Tokens

from tests.support.accounts import new_order
from tests.support.fake_engine import Gate, answer
from tests.support.fake_ledger import FakeLedger
from tests.support.house import build_house, drive, nothing_is_held

pytestmark = pytest.mark.anyio


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
