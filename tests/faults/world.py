"""A world to break: AWS, an engine, functions as processes, and a wire between them at which things go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import boto3
from gateway.domain.keys import ApiKey, parse_key

from infra.local.credentials import local_environment
from infra.local.envelopes import failed_message_ids, sqs_event
from infra.local.standin import start_sagemaker_standin
from tests.faults.judge import Books
from tests.faults.processes import Nursery, Process
from tests.faults.wire import Tap, run_tap
from tests.support.aws import Aws, run_aws
from tests.support.engine_pieces import whole
from tests.support.gateway import Gateway
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.stack import OpenedAccount, borrowed_environment, endpoint_of

MODEL = "gemma-3-4b-it-qat"
LINE_MODEL = "gemma-3-12b-it-qat"
"""The model whose slots are all taken."""
TEXTS = ("one", "two")
SLOTS = 10_000
PAST_THE_LEASES_S = 4000
"""Past every lease and every claim."""
_SERVICES = ("dynamodb", "events", "s3", "sqs", "sagemaker", "sagemaker-runtime")
Result = TypeVar("Result")


@dataclass
class World:
    """What stands for all cases of a run."""

    aws: Aws
    sagemaker_url: str
    engine: ScriptedEngine
    gateway: Gateway
    folder: Path

    def __post_init__(self) -> None:
        with borrowed_environment(self.environment("ChatFunction")):
            self.dynamodb, self.sqs = boto3.client("dynamodb"), boto3.client("sqs")
        self.nursery = Nursery(self.folder)

    def environment(self, function: str, tap: Tap | None = None) -> dict[str, str]:
        """What the function finds in its variables: before AWS itself, or before a tap."""
        aws_url = tap.urls["aws"] if tap else self.aws.url
        sagemaker_url = tap.urls["sagemaker"] if tap else self.sagemaker_url
        variables = self.aws.functions[function].environment
        return {
            **local_environment({"PATH": "/usr/bin:/bin"}),
            **{name: value.replace(self.aws.url, aws_url) for name, value in variables.items()},
            "AWS_ENDPOINT_URL": aws_url,
            "AWS_ENDPOINT_URL_SAGEMAKER": sagemaker_url,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": sagemaker_url,
        }

    def run(self, step: Coroutine[Any, Any, Result]) -> Result:
        """Runs one coroutine of `gateway`'s to its end."""
        return asyncio.run(step)

    def open_account(self, **limits: int) -> OpenedAccount:
        """A new account."""
        account, key = self.run(self.gateway.administration.open(name="test", plan="pro"))
        self.run(self.gateway.accounts.update(replace(account, limits=replace(account.limits, **limits))))
        return OpenedAccount(account.id, key)

    def key_of(self, account: OpenedAccount) -> ApiKey:
        """What the account's key spells."""
        key = parse_key(account.key)
        assert key is not None
        return key

    def describe(self, model: str, slots: int) -> None:
        """Says that the model is ready, with so many slots."""
        self.run(self.gateway.lines.describe(model, status="ready", copies=1, slots=slots))

    def call(self, function: str, event: Mapping[str, Any], *, tap: Tap | None = None, ahead_s: float = 0) -> Process:
        """Begins one call of a handler in a process of its own."""
        variables = self.environment(function, tap)
        return self.nursery.invoke(self.aws.functions[function], event, variables, ahead_s=ahead_s)

    def deliver(self, function: str, messages: Sequence[Mapping[str, Any]], *, ahead_s: float = 0) -> list[str]:
        """One delivery of these messages; the ids of those that stay in the queue."""
        (source, *_) = self.aws.functions[function].queues
        process = self.call(function, sqs_event(messages, queue_arn=source.arn), ahead_s=ahead_s)
        return sorted(failed_message_ids(process.wait(), [message["MessageId"] for message in messages]))

    def drain_outbox(self, *, times: int = 1) -> int:
        """Delivers all that waits in the outbox, each so many times; returns how many messages there were."""
        count = 0
        while messages := self.sqs.receive_message(
            QueueUrl=self.aws.outbox_url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages"):
            for _ in range(times):
                assert self.deliver("OutboxFunction", messages) == []
            for message in messages:
                self.sqs.delete_message(QueueUrl=self.aws.outbox_url, ReceiptHandle=message["ReceiptHandle"])
            count += len(messages)
        return count

    def end_claim(self, account: OpenedAccount, job_id: str) -> None:
        """As if the claim of whoever runs the job were over: AWS lets in no worker whose clock is ahead."""
        with suppress(self.dynamodb.exceptions.ConditionalCheckFailedException):
            self.dynamodb.update_item(
                TableName=self.aws.table,
                Key={"pk": {"S": f"ACCOUNT#{account.id}"}, "sk": {"S": f"JOB#{job_id}"}},
                UpdateExpression="SET claimed_until = :past",
                ConditionExpression="#status = :running",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={":past": {"N": "1"}, ":running": {"S": "running"}},
            )

    def sweep(self) -> int:
        """A tick of upkeep when all leases are over; returns how many it ended."""
        answer = self.call("UpkeepFunction", {}, ahead_s=PAST_THE_LEASES_S).wait()
        assert answer is not None, self.nursery.log.read_text()[-3000:]
        swept: int = answer["swept"]
        return swept

    def books(self, account: OpenedAccount) -> Books:
        """All items of the account."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.aws.table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"ACCOUNT#{account.id}"}},
            ConsistentRead=True,
        )
        return Books([item for page in pages for item in page["Items"]])

    def holders(self) -> dict[str, str]:
        """The account behind each slot and each place in a line, of all models."""
        lines = [self.run(self.gateway.lines.look(model)) for model in (MODEL, LINE_MODEL)]
        return {
            entry.request_id: entry.account_id
            for line in lines
            for entry in [*line.open.values(), *line.waiting.values()]
        }


@contextmanager
def build_world(folder: Path) -> Iterator[World]:
    """A world until the end of the block."""
    engine = ScriptedEngine([Script(pieces=whole(*TEXTS))])
    stand_in = start_sagemaker_standin({endpoint_of(model): engine for model in (MODEL, LINE_MODEL)})
    try:
        with run_aws() as aws:
            variables = {
                **local_environment({}),
                **{name: value for function in aws.functions.values() for name, value in function.environment.items()},
                "AWS_ENDPOINT_URL": aws.url,
                "AWS_ENDPOINT_URL_SAGEMAKER": stand_in.url,
                "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": stand_in.url,
            }
            with borrowed_environment(variables):
                gateway = Gateway.from_environment()
                gateway.warm_up()
                for service in _SERVICES:
                    gateway.clients.get(service)
            world = World(aws, stand_in.url, engine, gateway, folder)
            world.describe(MODEL, SLOTS)
            with world.nursery:
                yield world
    finally:
        stand_in.stop()


class Lane:
    """One request at a time: a tap of its own, and a chat process that lives until it is killed."""

    def __init__(self, world: World, tap: Tap) -> None:
        self.world = world
        self.tap = tap
        self._chat: Process | None = None

    def chat(self) -> Process:
        """The living chat process of this lane."""
        if self._chat is None or self._chat.ended:
            variables = self.world.environment("ChatFunction", self.tap)
            self._chat = self.world.nursery.serve(Path(self.world.aws.functions["ChatFunction"].folder), variables)
        return self._chat

    def end(self) -> None:
        """Ends the process."""
        if self._chat is not None:
            self._chat.stop()


@contextmanager
def open_lane(world: World) -> Iterator[Lane]:
    """A lane until the end of the block."""
    with run_tap({"aws": world.aws.url, "sagemaker": world.sagemaker_url}) as tap:
        lane = Lane(world, tap)
        try:
            yield lane
        finally:
            lane.end()
