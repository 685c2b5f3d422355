"""The worker: one generation billed, whoever runs the job how often; what can't run now comes later."""

from __future__ import annotations

import asyncio
import json

import pytest
from gateway.domain.errors import InvalidRequest, ServiceUnavailable
from gateway.domain.jobs import Callback
from gateway.domain.line import WANT_AGAIN_S

from tests.support.accounts import new_customer
from tests.support.fake_engine import Gate, answer
from tests.support.fake_jobs import Sent
from tests.support.works import REQUEST, Works, build_works

pytestmark = pytest.mark.anyio


def billed(works: Works) -> list[int]:
    """The tokens of each record that charges something."""
    return [record.tokens.total for record in works.house.settled() if record.tokens.total]


async def test_a_job_is_answered_and_billed_as_a_request_is() -> None:
    works = await build_works(answers=1)
    job = await works.submit()
    (settlement,) = await works.deliver()
    assert settlement is not None
    assert (settlement.status, settlement.tokens.total, settlement.lease.key_id) == ("ok", 7, job.key_id)
    shown = await works.enqueue.show(await works.job(job.ref))
    assert shown["status"] == "succeeded"
    assert shown["result"]["choices"][0]["message"]["content"] == "Hello you"
    assert shown["result"]["usage"]["total_tokens"] == 7
    assert (billed(works), await works.house.held()) == ([7], set())


@pytest.mark.parametrize("copies", [2, 3])
async def test_a_message_delivered_again_after_the_end_bills_nothing(copies: int) -> None:
    works = await build_works(answers=copies)
    job = await works.submit()
    for _ in range(copies):
        await works.run_job(job.ref)
    assert (billed(works), len(works.house.engine.bodies)) == ([7], 1)


async def test_two_workers_at_once_generate_once() -> None:
    works = await build_works(answers=2)
    job = await works.submit()
    settlements = await asyncio.gather(works.run_job(job.ref), works.run_job(job.ref))
    assert len([one for one in settlements if one]) == 1
    assert (billed(works), len(works.house.engine.bodies)) == ([7], 1)


async def test_a_message_delivered_while_the_job_runs_comes_again_when_that_claim_is_over() -> None:
    opened = asyncio.Event()
    works = await build_works([Gate(opened), *answer("Hello")])
    job = await works.submit()
    works.queue.jobs.clear()
    running = asyncio.create_task(works.run_job(job.ref))
    while not works.house.engine.bodies:
        await asyncio.sleep(0)
    assert await works.run_job(job.ref) is None
    (again,) = works.queue.jobs["small"]
    assert again == Sent(job.ref, (await works.job(job.ref)).claimed_until_s - int(works.house.clock.now_s()))
    opened.set()
    await running
    assert billed(works) == [6]


async def test_a_job_whose_worker_died_runs_once_more_when_its_claim_is_over_and_bills_once() -> None:
    works = await build_works(answers=1)
    job = await works.submit()
    works.queue.jobs.clear()
    now_s = int(works.house.clock.now_s())
    await works.jobs.claim(job.ref, claim="dead", now_s=now_s, until_s=now_s + 100)
    assert await works.run_job(job.ref) is None
    assert works.queue.jobs.pop("small") == [Sent(job.ref, 100)]
    works.house.clock.advance(100)
    assert await works.run_job(job.ref) is not None
    assert billed(works) == [7]


async def test_a_worker_that_comes_back_after_its_claim_was_taken_over_bills_nothing() -> None:
    opened = asyncio.Event()
    works = await build_works([Gate(opened), *answer("slow")], answers=1)
    job = await works.submit()
    slow = asyncio.create_task(works.run_job(job.ref))
    while not works.house.engine.bodies:
        await asyncio.sleep(0)
    works.house.clock.advance(400)
    await works.run_job(job.ref)
    opened.set()
    await slow
    shown = await works.enqueue.show(await works.job(job.ref))
    assert shown["result"]["choices"][0]["message"]["content"] == "Hello you"
    assert billed(works) == [7]


async def test_a_job_cancelled_while_it_waits_never_runs() -> None:
    works = await build_works()
    job = await works.submit()
    assert (await works.enqueue.cancel(job)).status == "cancelled"
    await works.deliver()
    assert (works.house.engine.bodies, works.house.settled()) == ([], [])


async def test_a_job_cancelled_while_it_runs_has_its_answer_dropped_and_is_charged_nothing() -> None:
    opened = asyncio.Event()
    works = await build_works([Gate(opened), *answer("late")])
    job = await works.submit()
    running = asyncio.create_task(works.deliver())
    while not works.house.engine.bodies:
        await asyncio.sleep(0)
    assert (await works.enqueue.cancel(job)).status == "cancelled"
    opened.set()
    await running
    shown = await works.enqueue.show(await works.job(job.ref))
    assert (shown["status"], shown["result"]) == ("cancelled", None)
    assert billed(works) == []
    account = await works.house.account()
    assert (account.tokens_today, dict(account.open), await works.house.held()) == (0, {}, set())


async def test_a_job_that_ended_is_not_cancelled_any_more() -> None:
    works = await build_works(answers=1)
    job = await works.submit()
    await works.deliver()
    assert (await works.enqueue.cancel(job)).status == "succeeded"


async def test_a_job_that_no_worker_could_start_in_time_expires() -> None:
    works = await build_works()
    job = await works.submit()
    works.house.clock.advance(job.expires_s)
    await works.deliver()
    shown = await works.enqueue.show(await works.job(job.ref))
    assert (shown["status"], shown["error"]["type"]) == ("expired", "server_error")
    assert works.house.engine.bodies == []


async def test_a_job_over_the_quota_comes_later_and_has_not_failed() -> None:
    works = await build_works(customer=new_customer(daily_tokens=0))
    job = await works.submit()
    await works.deliver()
    assert (await works.job(job.ref)).status == "queued"
    assert works.queue.jobs["small"] == [Sent(job.ref, 900)]
    assert works.house.settled() == []


async def test_a_job_of_a_model_without_copies_waits_as_a_new_message_and_leaves_a_trace() -> None:
    works = await build_works(answers=1)
    lines, clock = works.house.lines, works.house.clock
    await lines.describe("small", status="warming", copies=0, slots=0)
    job = await works.submit()
    await works.deliver()
    assert works.queue.jobs["small"] == [Sent(job.ref, 60)]
    assert (await works.job(job.ref)).status == "queued"
    assert works.house.settled() == [], "waiting is no failed request of the account's"
    line = await lines.look("small")
    assert (line.wanted_s, line.is_wanted(clock.now_s())) == (clock.now_s(), True)
    clock.advance(WANT_AGAIN_S)
    await works.deliver()
    assert (await lines.look("small")).wanted_s == clock.now_s()
    await lines.describe("small", status="ready", copies=1, slots=1)
    await works.deliver()
    assert (await works.job(job.ref)).status == "succeeded"


async def test_a_job_whose_key_was_deleted_fails() -> None:
    works = await build_works()
    job = await works.submit()
    await works.house.accounts.replace_keys(works.house.customer.account, {})
    await works.deliver()
    shown = await works.enqueue.show(await works.job(job.ref))
    assert (shown["status"], shown["error"]["type"]) == ("failed", "authentication_error")


async def test_a_refusal_of_the_engine_fails_the_job_and_charges_nothing() -> None:
    works = await build_works(InvalidRequest("too long", reason="context_length_exceeded"))
    job = await works.submit()
    await works.deliver()
    shown = await works.enqueue.show(await works.job(job.ref))
    assert (shown["status"], shown["error"]["reason"]) == ("failed", "context_length_exceeded")
    assert billed(works) == []


async def test_an_engine_without_room_makes_the_job_wait() -> None:
    works = await build_works(ServiceUnavailable("busy", reason="line_full", retry_after_s=5), answers=1)
    job = await works.submit()
    await works.deliver()
    assert works.queue.jobs["small"] == [Sent(job.ref, 5)]
    await works.deliver()
    assert (await works.job(job.ref)).status == "succeeded"


async def test_the_end_is_told_to_the_callback_url_and_so_is_a_cancellation() -> None:
    works = await build_works(answers=1)
    done = await works.submit(callback_url="https://example.com/done")
    gone = await works.submit(callback_url="https://example.com/gone")
    await works.enqueue.cancel(gone)
    await works.deliver()
    assert [sent.message for sent in works.queue.callbacks] == [Callback(done.ref, 1), Callback(gone.ref, 1)]


async def test_a_large_request_and_a_large_answer_lie_in_the_bucket() -> None:
    works = await build_works(answer(*("word " * 20,) * 1500, prompt=5), customer=new_customer(daily_tokens=None))
    body = {**REQUEST, "metadata": {"note": "x" * 120_000}}
    job = await works.submit(body=body)
    await works.deliver()
    ended = await works.job(job.ref)
    assert ended.request.stored in works.blobs.kept
    assert ended.answer is not None
    assert json.loads(works.blobs.kept[ended.answer.stored or ""])["usage"]["completion_tokens"] == 1500
    shown = await works.enqueue.show(ended)
    assert shown["result"] is None
    assert shown["result_url"].startswith("https://blobs.test/jobs/")


async def test_a_job_that_fails_as_nobody_foresaw_runs_when_its_message_comes_again() -> None:
    works = await build_works(answers=1)
    job = await works.submit(body={**REQUEST, "ignored": "x" * 200_000})
    lost, works.blobs.kept = dict(works.blobs.kept), {}
    for _ in range(2):
        with pytest.raises(KeyError):
            await works.run_job(job.ref)
        assert (await works.job(job.ref)).status == "queued"
    works.blobs.kept.update(lost)
    assert await works.run_job(job.ref) is not None
    assert (await works.job(job.ref)).status == "succeeded"
    assert len(works.house.settled()) == 1


async def test_a_message_that_names_no_job_is_let_go() -> None:
    works = await build_works()
    job = await works.submit()
    works.jobs.by_ref.clear()
    assert await works.run_job(job.ref) is None
    assert works.house.settled() == []
