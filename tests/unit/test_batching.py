"""Batches from file to files, whatever is delivered twice, dies in the middle, or is cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from gateway.application.batching import BatchRequest
from gateway.application.splitting import CHUNK_LINES
from gateway.domain.batches import MAX_LINE_BYTES, MAX_LINES, Batch, BatchStep
from gateway.domain.errors import InvalidRequest, NotFound, ServiceUnavailable
from gateway.domain.jobs import JOB_LIFETIME_S, JobRef
from gateway.domain.keys import ApiKey
from gateway.domain.models import Model

from tests.support.accounts import new_customer
from tests.support.fake_jobs import FakeBlobs, FakeJobQueue, FakeJobs
from tests.support.works import REQUEST, Works, build_works, line

pytestmark = pytest.mark.anyio

BROKEN = {
    "no JSON": b'{"custom_id": "x',
    "no object": b"[1]",
    "no body": line("no body", body=None),
    "wrong url": line("wrong url", url="/v1/completions"),
    "wrong method": line("wrong method", method="GET"),
    "streamed": line("streamed", body={**REQUEST, "stream": True}),
    "unknown model": line("unknown model", body={**REQUEST, "model": "other"}),
    "bad request": line("bad request", body={**REQUEST, "temperature": 9}),
    "over the limit": line("over the limit", body={**REQUEST, "user": "x" * MAX_LINE_BYTES}),
    "twice": line("first"),
}


async def works_for(answers: int, *, part_bytes: int = 4096) -> Works:
    customer = new_customer(daily_tokens=None, requests_per_minute=10_000, max_open_requests=100)
    return await build_works(answers=answers, customer=customer, part_bytes=part_bytes)


def good(count: int, *, start: int = 0) -> list[bytes]:
    return [line(f"r{number}") for number in range(start, start + count)]


def billed_tokens(works: Works) -> int:
    return sum(record.tokens.total for record in works.house.settled())


async def test_every_good_line_is_answered_and_every_broken_one_fails_by_its_number() -> None:
    works = await works_for(3)
    data = b"\n".join([line("first"), b"", *BROKEN.values(), b"  ", line("second"), line("third")])
    batch = await works.run_out(await works.start_batch(data))
    assert (batch.status, batch.total, batch.completed, batch.failed) == ("completed", 13, 3, 10)
    output = await works.lines_of(batch, batch.output_file_id)
    assert [entry["custom_id"] for entry in output] == ["first", "second", "third"]
    assert all(entry["response"]["status_code"] == 200 and entry["error"] is None for entry in output)
    assert {entry["response"]["body"]["choices"][0]["message"]["content"] for entry in output} == {"Hello you"}
    errors = await works.lines_of(batch, batch.error_file_id)
    assert [entry["error"]["line"] for entry in errors] == list(range(3, 13))
    assert {entry["error"]["code"] for entry in errors} == {"invalid_line"}
    assert billed_tokens(works) == 3 * 7 == sum(entry["response"]["body"]["usage"]["total_tokens"] for entry in output)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("closed", [True, False])
async def test_a_file_may_end_with_or_without_a_newline_of_either_kind(newline: bytes, closed: bool) -> None:
    works = await works_for(3)
    batch = await works.run_out(await works.start_batch(newline.join(good(3)) + newline * closed))
    assert (batch.status, batch.total, batch.completed) == ("completed", 3, 3)


@pytest.mark.parametrize("data", [b"", b"\n \r\n\n"])
async def test_a_file_without_lines_fails(data: bytes) -> None:
    works = await works_for(0)
    batch = await works.run_out(await works.start_batch(data))
    assert (batch.status, batch.to_json()["errors"]["data"][0]["code"]) == ("failed", "invalid_file")


async def test_a_file_with_too_many_lines_fails_before_any_of_them_runs() -> None:
    works = await works_for(0, part_bytes=65_536)
    batch = await works.run_out(await works.start_batch(b"{}\n" * (MAX_LINES + 1)))
    assert (batch.status, batch.total, works.jobs.by_ref) == ("failed", 0, {})


async def test_a_file_that_is_gone_fails_the_batch() -> None:
    works = await works_for(0)
    batch = await works.start_batch(line("a"))
    works.blobs.kept.clear()
    assert (await works.run_out(batch)).status == "failed"


async def test_a_batch_of_broken_lines_only_is_completed() -> None:
    works = await works_for(0)
    batch = await works.run_out(await works.start_batch(b"{\n["))
    assert (batch.status, batch.failed, batch.output_file_id) == ("completed", 2, None)


async def test_a_file_must_be_the_accounts_own_and_uploaded() -> None:
    works = await works_for(0)
    file_id = await works.upload(line("a"))
    stranger = ApiKey(account_id="x" * 12, key_id="k", hash=None)
    asked = BatchRequest(input_file_id=file_id, endpoint="/v1/chat/completions")
    with pytest.raises(NotFound):
        await works.batches.create(asked, key=stranger)
    account_id = works.house.customer.account.id
    announced, _ = await works.files.expect(account_id, filename="in.jsonl", purpose="batch")
    asked = BatchRequest(input_file_id=announced.id, endpoint="/v1/chat/completions")
    with pytest.raises(InvalidRequest, match="not uploaded"):
        await works.batches.create(asked, key=works.house.customer.key)
    works.blobs.kept[announced.blob_key] = line("a")
    assert (await works.batches.create(asked, key=works.house.customer.key)).status == "validating"


class Dies(Exception):
    """The process ends here."""


class DyingBlobs(FakeBlobs):
    """Blobs whose second reader, the one that makes the jobs, dies after so many bytes."""

    def __init__(self, kept: dict[str, bytes], *, dies_at: int) -> None:
        super().__init__(part_bytes=512)
        self.kept = kept
        self._dies_at = dies_at
        self._reads = 0

    async def read_stream(self, key: str) -> AsyncIterator[bytes]:
        self._reads += 1
        left = self._dies_at if self._reads == 2 else len(self.kept[key])
        async for part in super().read_stream(key):
            if left <= 0:
                raise Dies
            left -= len(part)
            yield part


@pytest.mark.parametrize("lines", [0, 50, 150, 230])
async def test_a_splitter_that_died_in_the_middle_is_resumed_and_no_line_runs_twice(lines: int) -> None:
    works = await works_for(240)
    data = b"\n".join([*good(120), b"{", *good(119, start=120)])
    works.split = replace(works.split, blobs=DyingBlobs(works.blobs.kept, dies_at=lines * len(data) // 240))
    works.intake = replace(works.intake, split=works.split)
    batch = await works.start_batch(data)
    step = works.queue.steps.pop().message
    assert isinstance(step, BatchStep)
    with pytest.raises(Dies):
        await works.intake.step(step)
    await works.intake.step(step)
    batch = await works.run_out(batch)
    assert (batch.status, batch.total, batch.completed, batch.failed) == ("completed", 240, 239, 1)
    assert len(works.house.engine.bodies) == 239
    assert billed_tokens(works) == 239 * 7


async def test_steps_delivered_twice_change_nothing() -> None:
    works = await works_for(5)
    batch = await works.start_batch(b"\n".join(good(5)))
    split = works.queue.steps[0].message
    assert isinstance(split, BatchStep)
    await works.intake.step(split)
    await works.intake.step(split)
    done = await works.run_out(batch)
    await works.intake.step(split)
    await works.intake.step(BatchStep(batch.account_id, batch.id, "finish"))
    assert await works.batch(batch) == done
    assert (done.completed, done.failed, billed_tokens(works)) == (5, 0, 35)


async def test_a_batch_is_finished_by_whoever_looks_where_nobody_told_its_end() -> None:
    works = await works_for(2)
    batch = await works.start_batch(b"\n".join(good(2)))
    await works.take_steps()
    await works.deliver()
    works.queue.steps.clear()
    assert await works.finish.remind() == 1
    assert (await works.run_out(batch)).status == "completed"
    assert await works.finish.remind() == 0


async def test_cancelling_ends_the_lines_that_wait_and_keeps_the_answers_there_are() -> None:
    works = await works_for(1)
    batch = await works.start_batch(b"\n".join(good(3)))
    await works.take_steps()
    await works.run_job(works.waiting()[0])
    await works.batches.cancel(await works.batch(batch))
    batch = await works.run_out(batch)
    assert (batch.status, batch.completed, batch.failed) == ("cancelled", 1, 2)
    assert [entry["custom_id"] for entry in await works.lines_of(batch, batch.output_file_id)] == ["r0"]
    errors = await works.lines_of(batch, batch.error_file_id)
    assert [(entry["custom_id"], entry["error"]["code"]) for entry in errors] == [
        ("r1", "batch_cancelled"),
        ("r2", "batch_cancelled"),
    ]
    with pytest.raises(InvalidRequest, match="cancelled"):
        await works.batches.cancel(batch)


async def test_a_batch_cancelled_before_it_was_split_runs_nothing() -> None:
    works = await works_for(0)
    batch = await works.start_batch(b"\n".join(good(3)))
    assert (await works.batches.cancel(batch)).to_json()["status"] == "cancelling"
    batch = await works.run_out(batch)
    assert (batch.status, batch.total, works.jobs.by_ref) == ("cancelled", 0, {})


class CancellingQueue(FakeJobQueue):
    """A queue at whose first messages somebody cancels their batch."""

    def __init__(self, works: Works, batch: Batch) -> None:
        super().__init__()
        self._works, self._batch = works, batch

    async def send_jobs(self, model: Model, refs: Sequence[JobRef]) -> None:
        await self._works.batches.cancel(await self._works.batch(self._batch))
        await self._works.queue.send_jobs(model, refs)

    async def send_step(self, step: BatchStep, *, delay_s: int = 0) -> None:
        await self._works.queue.send_step(step, delay_s=delay_s)


async def test_a_batch_cancelled_while_it_is_split_stops_and_accounts_for_every_line_made() -> None:
    works = await works_for(0)
    batch = await works.start_batch(b"\n".join(good(3 * CHUNK_LINES)))
    works.intake = replace(works.intake, split=replace(works.split, queue=CancellingQueue(works, batch)))
    ended = await works.run_out(batch)
    assert (ended.status, ended.total, ended.failed) == ("cancelled", CHUNK_LINES, CHUNK_LINES)
    assert works.house.engine.bodies == []


async def test_a_batch_past_its_window_expires_with_the_answers_there_are() -> None:
    works = await works_for(1)
    batch = await works.start_batch(b"\n".join(good(2)))
    await works.take_steps()
    first, second = works.waiting()
    works.queue.jobs.clear()
    await works.run_job(first)
    now_s = int(works.house.clock.now_s())
    await works.jobs.claim(second, claim="dead", now_s=now_s, until_s=now_s + 60)
    works.house.clock.advance(JOB_LIFETIME_S)
    assert await works.finish.remind() == 1
    batch = await works.run_out(batch)
    assert (batch.status, batch.completed, batch.failed) == ("expired", 1, 1)
    assert batch.to_json()["expired_at"] == int(works.house.clock.now_s())
    (error,) = await works.lines_of(batch, batch.error_file_id)
    assert error["error"]["code"] == "batch_expired"


async def test_a_refused_line_stands_in_the_error_file_with_its_status() -> None:
    works = await build_works(InvalidRequest("too long", reason="context_length_exceeded"), answers=1)
    batch = await works.run_out(await works.start_batch(b"\n".join(good(2))))
    (error,) = await works.lines_of(batch, batch.error_file_id)
    assert (error["response"]["status_code"], error["error"]) == (400, None)
    assert error["response"]["body"]["error"]["reason"] == "context_length_exceeded"


async def test_a_line_over_the_quota_waits_and_the_batch_with_it() -> None:
    works = await build_works(answers=2, customer=new_customer(requests_per_minute=1, daily_tokens=None))
    batch = await works.start_batch(b"\n".join(good(2)))
    await works.take_steps()
    await works.deliver()
    assert (await works.batch(batch)).completed == 1
    works.house.clock.advance(60)
    assert (await works.run_out(batch)).completed == 2


class LostRaces(FakeJobs):
    """As if another were always faster."""

    async def update_batch(self, batch: Batch) -> Batch | None:
        return None


async def test_a_batch_that_is_written_all_the_time_is_not_cancelled_now() -> None:
    works = await works_for(0)
    batch = await works.start_batch(line("a"))
    jobs = LostRaces()
    await jobs.add_batch(batch)
    with pytest.raises(ServiceUnavailable):
        await replace(works.batches, jobs=jobs).cancel(batch)
