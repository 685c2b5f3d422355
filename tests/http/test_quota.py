"""A day's tokens under a crowd: never overspent by more than one request, and nobody locked out by what came back."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.http.asking import Asker
from tests.support.engine_pieces import whole
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import Stack

LIMIT = 400
USED = 50
"""Tokens of each answer."""
CROWD = 200


def test_two_hundred_requests_at_once_overspend_by_one_request_at_most(stack: Stack, engine: ScriptedEngine) -> None:
    engine.scripts = [Script(pieces=whole("Hello", prompt=10, completion=USED - 10))]
    account = stack.open_account(daily_tokens=LIMIT, max_open_requests=64, requests_per_minute=10_000)
    ask = Asker(stack.chat.port, account.authorization)
    with ThreadPoolExecutor(CROWD) as crowd:
        responses = list(crowd.map(lambda _: ask(max_tokens=USED), range(CROWD)))
    statuses = Counter(response.status for response in responses)
    reasons = {response.error["reason"] for response in responses if response.status != 200}
    assert set(statuses) <= {200, 429, 503}
    assert reasons <= {"tokens_reserved", "daily_quota_exceeded", "too_many_open_requests", "line_full", "line_timeout"}
    told = sum(response.json()["usage"]["total_tokens"] for response in responses if response.status == 200)
    assert told <= LIMIT + USED
    after = stack.account_of(account)
    assert after.open == {}
    assert after.tokens_today == told == stack.usage_today(account)["all", ""].total_tokens
    while told < LIMIT:
        response = ask(max_tokens=USED)
        assert response.status == 200
        told += response.json()["usage"]["total_tokens"]
    refused = ask(max_tokens=USED)
    assert (refused.status, refused.error["reason"]) == (429, "daily_quota_exceeded")
    assert stack.line().open == {}
    assert stack.line().waiting == {}


def test_a_huge_max_tokens_locks_nobody_out(stack: Stack, engine: ScriptedEngine) -> None:
    account = stack.open_account(plan="free", daily_tokens=100)
    ask = Asker(stack.chat.port, account.authorization)
    assert [ask(max_tokens=10**6).status for _ in range(3)] == [200, 200, 200]


def test_pro_goes_on_past_its_day_and_a_hard_cap_stops_it(stack: Stack, engine: ScriptedEngine) -> None:
    engine.scripts = [Script(pieces=whole("Hello", prompt=99_990, completion=20))]
    on = Asker(stack.chat.port, stack.open_account(plan="pro").authorization)
    assert [on().status for _ in range(3)] == [200, 200, 200]
    capped = Asker(stack.chat.port, stack.open_account(plan="pro", hard_cap_tokens=100_000).authorization)
    assert [capped().status for _ in range(2)] == [200, 429]
