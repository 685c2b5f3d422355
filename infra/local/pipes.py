"""EventBridge Pipes from a DynamoDB stream to a bus: what moto declares and does not run."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any

import boto3
from moto.events.models import EventPattern

from infra.local.template import Lookup, Template

_POLL_S = 0.5
_PLACE = re.compile(r"<\$\.([A-Za-z0-9_.]+)>")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pipe:
    """One pipe. A record that any of `patterns` matches becomes an event by the template `input`."""

    stream_arn: str
    bus_arn: str
    patterns: Sequence[str]
    source: str
    detail_type: str
    input: str

    def event_of(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """The entry for `PutEvents`, or None where the pipe's filter lets the record fall."""
        if self.patterns and not any(_matches(pattern, record) for pattern in self.patterns):
            return None
        return {
            "Source": self.source,
            "DetailType": self.detail_type,
            "Detail": fill(self.input, record),
            "EventBusName": self.bus_arn,
        }


def _matches(pattern: str, record: Mapping[str, Any]) -> bool:
    found: bool = EventPattern.load(pattern).matches_event(record)  # type: ignore[arg-type]  # moto's type is an event's
    return found


def fill(template: str, record: Mapping[str, Any]) -> str:
    """`template` with every `<$.path>` replaced by the value there as JSON; what is not there is an empty text."""

    def value(match: re.Match[str]) -> str:
        node: Any = record
        for name in match[1].split("."):
            node = node.get(name) if isinstance(node, Mapping) else None
        return json.dumps("" if node is None else node)

    return _PLACE.sub(value, template)


def read_pipes(template: Template, lookup: Lookup) -> list[Pipe]:
    """Every `AWS::Pipes::Pipe` of the template."""
    pipes = []
    for _, resource in template.resources("AWS::Pipes::Pipe"):
        properties = template.resolve({**resource["Properties"], "RoleArn": ""}, lookup)
        parameters = properties["SourceParameters"]
        target = properties["TargetParameters"]
        pipes.append(
            Pipe(
                stream_arn=properties["Source"],
                bus_arn=properties["Target"],
                patterns=[each["Pattern"] for each in parameters.get("FilterCriteria", {}).get("Filters", ())],
                source=target["EventBridgeEventBusParameters"]["Source"],
                detail_type=target["EventBridgeEventBusParameters"]["DetailType"],
                input=target["InputTemplate"],
            )
        )
    return pipes


def start_pipes(pipes: Sequence[Pipe]) -> None:
    """Run them, one thread a stream, from this moment on."""
    for arn in {pipe.stream_arn for pipe in pipes}:
        own = [pipe for pipe in pipes if pipe.stream_arn == arn]
        records = _records(arn)
        next(records)
        Thread(target=_run, args=(own, records), name="pipes", daemon=True).start()


def _run(pipes: Sequence[Pipe], records: Iterator[Sequence[Mapping[str, Any]]]) -> None:
    events = boto3.client("events")
    for batch in records:
        entries = [entry for record in batch for pipe in pipes if (entry := pipe.event_of(record))]
        for start in range(0, len(entries), 10):
            answer = events.put_events(Entries=entries[start : start + 10])
            if answer["FailedEntryCount"]:
                logger.error("a pipe's events were refused: %s", answer["Entries"])


def _records(stream_arn: str) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Nothing at first, once the stream is held, then what comes."""
    streams = boto3.client("dynamodbstreams")
    (shard,) = streams.describe_stream(StreamArn=stream_arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=stream_arn, ShardId=shard["ShardId"], ShardIteratorType="LATEST")[
        "ShardIterator"
    ]
    yield ()
    while True:
        time.sleep(_POLL_S)
        answer = streams.get_records(ShardIterator=iterator)
        iterator = answer["NextShardIterator"]
        if answer["Records"]:
            yield json.loads(json.dumps(answer["Records"], default=str))
