"""The main job, metered: what the account is told in the end is what its clients were told on the way."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.main_job.conftest import Asker
from tests.support.local_stack import CAPITAL, MODEL, RAMBLING

pytestmark = pytest.mark.model

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def _sums(usages: list[dict[str, Any]]) -> dict[str, int]:
    return {name: sum(usage[name] for usage in usages) for name in COUNTS}


def _counts(totals: dict[str, Any]) -> dict[str, int]:
    return {name: totals[name] for name in COUNTS}


def test_the_usage_report_is_exactly_the_sum_of_what_the_clients_were_told(newcomer: Asker) -> None:
    chats = [
        newcomer.whole(messages=CAPITAL, temperature=0)["usage"],
        newcomer.whole(messages=RAMBLING, max_tokens=7, n=2)["usage"],
        newcomer.whole(messages=RAMBLING, max_tokens=9, response_format="json")["usage"],
        newcomer.stream(messages=RAMBLING, max_tokens=11)[-1]["usage"],
        newcomer.stream(messages=RAMBLING, max_tokens=5, stream_options={"include_usage": True})[-1]["usage"],
    ]
    texts = [newcomer.complete(prompt=["One, two,", "Red, green,"], max_tokens=6)["usage"]]

    report = newcomer.usage()

    assert _counts(report["today"]) == _sums(chats + texts)
    assert report["today"]["requests"] == 6
    assert report["today"]["errors"] == 0
    assert report["today"]["cost"] == pytest.approx(sum(usage["cost"] for usage in chats + texts), abs=1e-12)
    assert _counts(report["today"]["models"][MODEL]) == _sums(chats + texts)
    assert _counts(report["today"]["endpoints"]["/v1/chat/completions"]) == _sums(chats)
    assert _counts(report["today"]["endpoints"]["/v1/completions"]) == _sums(texts)
    (of_key,) = report["today"]["keys"].values()
    assert _counts(of_key) == _sums(chats + texts)
    assert (report["open_requests"], report["reserved_tokens"]) == (0, 0)


def test_a_prompt_that_is_too_long_names_both_numbers_bills_nothing_and_holds_nothing(newcomer: Asker) -> None:
    answer = newcomer.post(messages=[{"role": "user", "content": "word " * 9000}])

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["reason"]) == ("invalid_request_error", "context_length_exceeded")
    asked, held = (int(number) for number in re.findall(r"\d+", error["message"]))
    assert asked > 9000
    assert held == 8192
    report = newcomer.usage()
    assert _counts(report["today"]) == dict.fromkeys(COUNTS, 0)
    assert report["today"]["cost"] == 0
    assert (report["open_requests"], report["reserved_tokens"]) == (0, 0)
    # the slot is free again too
    assert newcomer.whole(messages=CAPITAL, temperature=0)["choices"][0]["finish_reason"] == "stop"


def test_a_request_that_is_refused_before_admission_is_not_in_the_report(newcomer: Asker) -> None:
    assert newcomer.post(messages=CAPITAL, temperature=3).status_code == 400

    assert newcomer.usage()["today"]["requests"] == 0
