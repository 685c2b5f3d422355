"""What is told of a settled request: its metrics, one log line, and the reason where it ended early."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from gateway.domain.line import INTERACTIVE, Holder, Line, Waiter
from gateway.domain.usage import Lease, Settlement, Tokens
from gateway.entrypoints.observability import Telemetry

LEASE = Lease(
    request_id="r1", account_id="a1", key_id="k1", model="m1", endpoint="/v1/chat/completions",
    reserved_tokens=100, admitted_s=1_700_000_000, deadline_s=1_700_000_300,
)  # fmt: skip
SETTLEMENT = Settlement(
    lease=LEASE, status="ok", http_status=200, tokens=Tokens(10, 20), cost_nano_usd=30_000, ended_s=1_700_000_002,
    finish_reason="stop", stream=True, first_token_ms=500, duration_ms=1500, line_ms=120,
)  # fmt: skip


@pytest.fixture(autouse=True)
def a_service_that_powertools_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that whoever runs a function may set, and that must not change what alarms and scaling look for."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "chat")


def line_of(capsys: pytest.CaptureFixture[str], settlement: Settlement) -> dict[str, Any]:
    """All that is printed of a request: one line."""
    Telemetry("stack").settled(settlement)
    (line,) = capsys.readouterr().out.splitlines()
    record: dict[str, Any] = json.loads(line)
    return record


def test_a_request_that_went_well_is_one_record_of_all_that_is_watched(capsys: pytest.CaptureFixture[str]) -> None:
    record = line_of(capsys, SETTLEMENT)
    (directive,) = record["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("stack", [["Model"]])
    assert record["Model"] == "m1"
    names = {metric["Name"] for metric in directive["Metrics"]}
    assert {name: record[name] for name in names} == {
        "Requests": [1],
        "Errors": [0],
        "PromptTokens": [10],
        "CompletionTokens": [20],
        "CostUSD": [30e-6],
        "FirstTokenTime": [500],
        "TokensPerSecond": [20],
        "LineWait": [120],
    }


def test_a_request_that_ended_early_is_counted_by_its_reason_too(capsys: pytest.CaptureFixture[str]) -> None:
    failed = replace(SETTLEMENT, status="failed", http_status=503, reason="line_timeout", first_token_ms=None)
    record = line_of(capsys, failed)
    assert record["Errors"] == [1]
    assert "FirstTokenTime" not in record
    of_model, by_reason = record["_aws"]["CloudWatchMetrics"]
    assert (of_model["Dimensions"], by_reason["Dimensions"]) == ([["Model"]], [["Model", "Reason"]])
    assert by_reason["Metrics"] == [{"Name": "Failures", "Unit": "Count"}]
    assert "Failures" not in {metric["Name"] for metric in of_model["Metrics"]}
    assert (record["Model"], record["Reason"], record["Failures"]) == ("m1", "line_timeout", [1])


def test_lost_requests_have_no_dimension_as_their_alarm_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    Telemetry("stack").swept(3)
    record = json.loads(capsys.readouterr().out)
    assert record["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [[]]
    assert record["LostRequests"] == [3]


def test_the_line_tells_the_log_who_and_how(capsys: pytest.CaptureFixture[str]) -> None:
    line = line_of(capsys, replace(SETTLEMENT, status="failed", http_status=503, reason="line_timeout"))
    assert (line["line_ms"], line["reason"]) == (120, "line_timeout")
    assert (line["level"], line["message"], line["service"]) == ("INFO", "request settled", "gateway")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\+0000", line["timestamp"])
    assert (line["lease"], line["account"], line["key_id"], line["duration_ms"]) == ("r1", "a1", "k1", 1500)
    assert "searches" not in line


def test_what_is_not_known_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    line = line_of(capsys, replace(SETTLEMENT, first_token_ms=None, finish_reason=None))
    assert not {"reason", "finish_reason", "first_token_ms", "FirstTokenTime", "Failures"} & line.keys()


def test_demand_is_who_runs_and_who_waits_in_all_and_by_copy(capsys: pytest.CaptureFixture[str]) -> None:
    line = Line(
        model="m1",
        status="ready",
        copies=2,
        slots=4,
        service_s=6.0,
        open={rid: Holder(request_id=rid, account_id="a1", deadline_s=60.0) for rid in "abcd"},
        waiting={"e": Waiter(request_id="e", account_id="a1", since_s=1.0, deadline_s=20.0, rank=INTERACTIVE)},
    )
    Telemetry("stack").demand(line)
    record = json.loads(capsys.readouterr().out)
    assert record["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Model"]]
    told = {name: record[name] for name in ("Model", "Demand", "DemandPerCopy", "Waiting", "Copies")}
    assert told == {"Model": "m1", "Demand": [5], "DemandPerCopy": [2.5], "Waiting": [1], "Copies": [2]}


def test_a_model_without_a_copy_is_wanted_as_if_it_had_one(capsys: pytest.CaptureFixture[str]) -> None:
    holder = Holder(request_id="a", account_id="a1", deadline_s=60.0)
    line = Line(model="m1", status="warming", copies=0, slots=0, service_s=6.0, open={"a": holder}, waiting={})
    Telemetry("stack").demand(line)
    assert json.loads(capsys.readouterr().out)["DemandPerCopy"] == [1]
