"""Dead-letter queues: what nobody could handle, and the way back once the cause is mended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.queues import QUEUE_ATTRIBUTE
from gateway.domain.errors import NotFound

_MARK = "DeadLetterQueue"
_SOURCE = "DeadLetterQueueSourceArn"
_AT_ONCE = 10
"""SQS's limit for one ReceiveMessage."""
_HIDDEN_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterQueue:
    """A dead-letter queue of the stack. `messages` is SQS's own count, which trails by moments."""

    name: str
    url: str
    messages: int
    sources: tuple[str, ...]
    """The URLs of the queues whose messages end here."""


@dataclass(frozen=True, slots=True)
class Redriven:
    """What a redrive did: messages sent back, and those left because nothing tells where they came from."""

    moved: int
    left: int


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead-letter queues of one stack, found by their names: `<stack>-…DeadLetterQueue…`."""

    clients: Clients
    stack_name: str

    async def all(self) -> list[DeadLetterQueue]:
        """Every dead-letter queue, by name."""
        answer = await self._call("list_queues", QueueNamePrefix=f"{self.stack_name}-", MaxResults=1000)
        urls = [url for url in answer.get("QueueUrls", []) if _MARK in url]
        return [await self._describe(url) for url in sorted(urls)]

    async def find(self, name: str) -> DeadLetterQueue:
        """The queue of this name. Raises NotFound naming those that exist."""
        queues = await self.all()
        for queue in queues:
            if queue.name == name:
                return queue
        names = ", ".join(queue.name for queue in queues) or "none"
        raise NotFound(f"There is no dead-letter queue {name!r:.100}; there are: {names}.")

    async def redrive(self, queue: DeadLetterQueue) -> Redriven:
        """Sends the messages that are there now back to where they came from.

        Each is sent before it is deleted: one that is interrupted comes twice, which every handler of ours bears.
        """
        moved = left = 0
        while moved + left < queue.messages:
            answer = await self._call(
                "receive_message",
                QueueUrl=queue.url,
                MaxNumberOfMessages=min(_AT_ONCE, queue.messages - moved - left),
                VisibilityTimeout=_HIDDEN_S,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            )
            messages = answer.get("Messages", [])
            if not messages:
                break
            for message in messages:
                source = _source_of(queue, message)
                if source is None:
                    left += 1
                    continue
                await self._send_back(source, message)
                await self._call("delete_message", QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
                moved += 1
        return Redriven(moved, left)

    async def _send_back(self, source: str, message: Mapping[str, Any]) -> None:
        attributes = message.get("Attributes", {})
        optional: dict[str, Any] = {}
        if "MessageGroupId" in attributes:
            optional["MessageGroupId"] = attributes["MessageGroupId"]
        if "MessageAttributes" in message:
            optional["MessageAttributes"] = message["MessageAttributes"]
        await self._call("send_message", QueueUrl=source, MessageBody=message["Body"], **optional)

    async def _describe(self, url: str) -> DeadLetterQueue:
        counted = await self._call("get_queue_attributes", QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        sources = await self._call("list_dead_letter_source_queues", QueueUrl=url)
        return DeadLetterQueue(
            name=_name(url),
            url=url,
            messages=int(counted["Attributes"]["ApproximateNumberOfMessages"]),
            sources=tuple(sorted(sources.get("queueUrls", []))),
        )

    async def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.clients.call("sqs", operation, **arguments)
        return answer


def _source_of(queue: DeadLetterQueue, message: Mapping[str, Any]) -> str | None:
    """The queue that a message came from, or None where nothing tells it.

    SQS notes it on what it moved itself, we on what queues with one dead-letter queue in common get; with only one
    source there is no other, but for events that Lambda put there: they never were in a queue.
    """
    noted = message.get("Attributes", {}).get(_SOURCE, "").rpartition(":")[2]
    told = message.get("MessageAttributes", {}).get(QUEUE_ATTRIBUTE, {}).get("StringValue", "")
    for url in queue.sources:
        if _name(url) == (noted or told):
            return url
    return queue.sources[0] if len(queue.sources) == 1 and not _is_failed_event(message["Body"]) else None


def _is_failed_event(body: str) -> bool:
    """Whether this is Lambda's record of an event whose function failed, which wraps the event."""
    try:
        record = json.loads(body)
    except ValueError:
        return False
    return isinstance(record, dict) and "requestPayload" in record


def _name(url: str) -> str:
    return url.rpartition("/")[2]
