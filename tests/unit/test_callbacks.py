"""Callbacks: how they are signed, when they are tried again, and what can be none."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from gateway.application.calling import MakeCallback
from gateway.domain.callbacks import RETRY_DELAYS_S, callback_headers, check_callback_url, retry_delay_s
from gateway.domain.errors import InvalidRequest, OutboundFailed
from gateway.domain.jobs import Blob, Callback, Job, JobRef, job_to_json
from hypothesis import given
from hypothesis import strategies as st

from tests.support.accounts import new_key
from tests.support.clock import NOON_S, ManualClock

pytestmark = pytest.mark.anyio

GUIDE = Path(__file__).parents[2] / "docs" / "callbacks.md"
KEY, PARSED = new_key("a00000000000")
REF = JobRef(account_id="a00000000000", job_id="job_1")
JOB = Job(
    ref=REF,
    key_id=PARSED.key_id,
    key_hash=PARSED.hash,
    endpoint="/v1/chat/completions",
    model="small",
    request=Blob(inline="{}"),
    created_s=NOON_S - 60,
    expires_s=NOON_S + 60,
    status="succeeded",
    ended_s=NOON_S,
    answer=Blob(inline='{"id":"chatcmpl-1"}'),
    http_status=200,
    callback_url="https://client.example/hook",
)


def test_a_callback_is_signed_as_standard_webhooks_signs() -> None:
    # the example of that specification's reference libraries
    secret = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = callback_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', key_hash=secret.hex(), now_s=1614265330
    )
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def verify(headers: Mapping[str, str], body: bytes, key: str, now_s: float) -> None:
    """The function that the guide gives to clients."""
    (snippet,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.S)
    names: dict[str, Any] = {}
    exec(snippet, names)
    names["verify"](headers, body, key, now_s)


@given(body=st.binary(), id_=st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1))
def test_the_client_of_the_guide_takes_what_we_sign(body: bytes, id_: str) -> None:
    assert PARSED.hash == hashlib.sha256(KEY.encode()).hexdigest()
    verify(callback_headers(id_, body, key_hash=PARSED.hash, now_s=NOON_S), body, KEY, NOON_S + 10)


@pytest.mark.parametrize(
    ("changed", "body", "key", "now_s"),
    [
        ({"webhook-id": "job_2"}, b"{}", KEY, NOON_S),
        ({"webhook-timestamp": str(NOON_S + 1)}, b"{}", KEY, NOON_S),
        ({"webhook-signature": "v1,AAAA"}, b"{}", KEY, NOON_S),
        ({}, b"{} ", KEY, NOON_S),
        ({}, b"{}", KEY + "0", NOON_S),
        ({}, b"{}", KEY, NOON_S + 301),
        ({}, b"{}", KEY, NOON_S - 301),
    ],
    ids=["id", "time", "signature", "body", "key", "too old", "from the future"],
)
def test_the_client_of_the_guide_refuses_what_we_did_not_sign(
    changed: dict[str, str], body: bytes, key: str, now_s: int
) -> None:
    assert PARSED.hash is not None
    headers = callback_headers("job_1", b"{}", key_hash=PARSED.hash, now_s=NOON_S) | changed
    with pytest.raises(ValueError, match=r"."):
        verify(headers, body, key, now_s)


def test_five_attempts_are_made_over_twenty_one_minutes() -> None:
    delays = [retry_delay_s(attempt) for attempt in range(1, 6)]
    assert delays == [10, 60, 300, 900, None]
    assert sum(RETRY_DELAYS_S) == 21 * 60 + 10


@pytest.mark.parametrize(
    "url", ["https://client.example/hook?a=b#c", "https://client.example:443/", "https://client.example:8443"]
)
def test_https_on_its_two_ports_can_be_a_callback(url: str) -> None:
    check_callback_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://client.example/",
        "https:///hook",
        "https://client.example:22/",
        "https://client.example:x/",
        "https://user@client.example/",
        "https://:word@client.example/",
        "https://[::1/",
        "https://client.example/" + "a" * 2048,
        "client.example",
        "",
    ],
)
def test_anything_else_is_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_callback_url(url)
    assert refused.value.param == "callback_url"


@given(st.text(max_size=100))
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    for url in (text, f"https://{text}"):
        try:
            check_callback_url(url)
        except InvalidRequest:
            continue
        assert url.startswith("https://")


@dataclass
class Post:
    """The job store, the queue and the web of one callback; the web answers `said`."""

    said: int | OutboundFailed = 200
    job: Job | None = JOB
    posted: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    queued: list[tuple[Callback, int]] = field(default_factory=list)
    clock: ManualClock = field(default_factory=ManualClock)

    async def read(self, ref: JobRef) -> Job | None:
        assert ref == REF
        return self.job

    async def send_callback(self, callback: Callback, *, delay_s: int = 0) -> None:
        self.queued.append((callback, delay_s))

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> int:
        self.posted.append((url, headers, body))
        if isinstance(self.said, OutboundFailed):
            raise self.said
        return self.said

    async def make(self, attempt: int = 1) -> None:
        """Makes an attempt."""
        port: Any = self
        await MakeCallback(jobs=port, queue=port, blobs=port, web=port, clock=self.clock)(Callback(REF, attempt))


@pytest.mark.parametrize("status", [200, 202, 204, 299])
async def test_a_callback_that_is_taken_is_told_once(status: int) -> None:
    post = Post(said=status)
    await post.make()
    ((url, headers, body),) = post.posted
    assert url == JOB.callback_url
    assert json.loads(body) == job_to_json(JOB, answer={"id": "chatcmpl-1"}, answer_url=None)
    verify(headers, body, KEY, NOON_S)
    assert post.queued == []


@pytest.mark.parametrize("said", [199, 301, 400, 404, 410, 500, OutboundFailed("the host broke off the exchange")])
async def test_a_callback_that_is_not_taken_is_queued_for_later(said: int | OutboundFailed) -> None:
    post = Post(said=said)
    await post.make()
    assert post.queued == [(Callback(REF, 2), 10)]


async def test_a_later_attempt_is_signed_with_its_own_time_and_the_same_id() -> None:
    post = Post(said=500)
    await post.make()
    post.clock.advance(70)
    await post.make(2)
    first, second = (headers for _, headers, _ in post.posted)
    assert first["webhook-id"] == second["webhook-id"] == "job_1"
    assert int(second["webhook-timestamp"]) == int(first["webhook-timestamp"]) + 70
    assert post.queued[1] == (Callback(REF, 3), 60)


async def test_the_fifth_failure_is_the_last_and_is_logged_without_the_url(caplog: pytest.LogCaptureFixture) -> None:
    post = Post(said=500)
    await post.make(5)
    assert post.queued == []
    (record,) = caplog.records
    assert (record.message, record.__dict__["attempt"], record.__dict__["cause"]) == (
        "callback given up",
        5,
        "status 500",
    )
    assert "client.example" not in str(record.__dict__)


@pytest.mark.parametrize("job", [None, replace(JOB, callback_url=None), replace(JOB, key_hash=None)])
async def test_a_message_of_no_such_callback_calls_nobody(job: Job | None) -> None:
    post = Post(job=job)
    await post.make()
    assert post.posted == post.queued == []
