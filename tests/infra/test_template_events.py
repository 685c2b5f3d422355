"""The events for others: what the pipes send has the schemas that are promised, and only what is meant is sent."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from gateway.adapters.aws.items import Item
from gateway.adapters.aws.job_items import job_item
from gateway.domain.jobs import FINAL, Blob, Job, JobRef, JobStatus

from tests.infra.transformed import ROOT, resources, transformed

PIPES = resources(transformed(), "AWS::Pipes::Pipe")
SCHEMAS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "infra/events").glob("*.json"))}
USAGE: Item = {
    "pk": {"S": "ACCOUNT#a"},
    "sk": {"S": "USAGE#20261123#r"},
    **{name: {"S": "20261123"} for name in ("request_id", "account", "key", "model", "endpoint", "day", "status")},
    **{name: {"N": "12"} for name in ("prompt_tokens", "completion_tokens", "total_tokens", "cost_nano_usd", "ended")},
}


def job(status: JobStatus, *, batch_id: str | None = None) -> Item:
    """An item of a job, as the table has it; an ended one with what its end sets (`end_job_items`)."""
    item = job_item(
        Job(
            ref=JobRef(account_id="a", job_id="job-1", batch_id=batch_id),
            key_id="k",
            key_hash=None,
            endpoint="/v1/chat/completions",
            model="m",
            request=Blob(inline="{}"),
            created_s=1,
            expires_s=2,
            status=status,
        )
    )
    return {**item, **({"http_status": {"N": "200"}, "ended": {"N": "3"}} if status in FINAL else {})}


def record(item: Item, event: str) -> dict[str, Any]:
    """A record of the table's stream."""
    keys = {name: item[name] for name in ("pk", "sk")}
    return {"eventName": event, "dynamodb": {"Keys": keys, "NewImage": dict(item)}}


def matches(pattern: Any, value: Any) -> bool:
    """EventBridge's pattern language, as far as the pipes use it."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(k in value and matches(p, value[k]) for k, p in pattern.items())
    return any(value.startswith(p["prefix"]) if isinstance(p, dict) else value == p for p in pattern)


def sent(item: Item, event: str) -> dict[str, Any]:
    """Detail by detail type: what the pipes make of one change."""
    details = {}
    for pipe in PIPES.values():
        (filter_,) = pipe["SourceParameters"]["FilterCriteria"]["Filters"]
        change = record(item, event)
        if matches(json.loads(filter_["Pattern"]), change):
            target = pipe["TargetParameters"]
            kind = target["EventBridgeEventBusParameters"]["DetailType"]
            details[kind] = filled(target["InputTemplate"], change)
    return details


def filled(template: str, change: dict[str, Any]) -> dict[str, Any]:
    """An input template with each `<$.path>` replaced by the JSON at that path."""

    def at(match: re.Match[str]) -> str:
        value: Any = change
        for name in match[1].split("."):
            value = value[name]
        return json.dumps(value)

    result: dict[str, Any] = json.loads(re.sub(r"<\$\.([\w.]+)>", at, template))
    return result


@pytest.mark.parametrize(
    ("item", "event", "kinds"),
    [
        (USAGE, "INSERT", {"UsageRecorded"}),
        (USAGE, "MODIFY", set()),
        (USAGE, "REMOVE", set()),
        (job("queued"), "INSERT", set()),
        (job("running"), "MODIFY", set()),
        (job("succeeded"), "MODIFY", {"GenerationCompleted"}),
        (job("failed"), "MODIFY", {"GenerationFailed"}),
        (job("succeeded", batch_id="b"), "MODIFY", {"GenerationCompleted"}),
        (job("failed", batch_id="b"), "MODIFY", {"GenerationFailed"}),
        (job("cancelled"), "MODIFY", set()),
        ({**USAGE, "sk": {"S": "DAY#20261123"}}, "INSERT", set()),
    ],
)
def test_a_change_of_the_table_is_told_if_it_is_one_of_those_and_has_its_schema(
    item: Item, event: str, kinds: set[str]
) -> None:
    details = sent(item, event)
    assert set(details) == kinds
    for kind, detail in details.items():
        jsonschema.validate(detail, SCHEMAS[kind])


@pytest.mark.parametrize("pipe", PIPES)
def test_a_pipe_reads_the_tables_stream_writes_our_bus_and_keeps_what_it_could_not_send(pipe: str) -> None:
    assert PIPES[pipe]["Source"] == {"Fn::GetAtt": ["Table", "StreamArn"]}
    assert PIPES[pipe]["Target"] == {"Fn::GetAtt": ["Bus", "Arn"]}
    kept = PIPES[pipe]["SourceParameters"]["DynamoDBStreamParameters"]["DeadLetterConfig"]
    assert kept == {"Arn": {"Fn::GetAtt": ["PipesDeadLetterQueue", "Arn"]}}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_and_says_what_each_field_is(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["title"] == name
    assert all(field["description"] for field in SCHEMAS[name]["properties"].values())


def test_the_example_of_an_event_to_us_has_its_schema() -> None:
    example = json.loads((ROOT / "events/bus_generation_requested.json").read_text("utf-8"))
    jsonschema.validate(example["detail"], SCHEMAS[example["detail-type"]])
