"""Which AWS calls a gateway makes: counted where botocore is about to send them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.bootstrap import Gateway

SERVICES = ("dynamodb", "events", "s3", "sqs", "sagemaker-runtime")


@dataclass
class Calls:
    """What was sent: operations in order, and each request's body."""

    operations: list[str] = field(default_factory=list)
    bodies: list[tuple[str, bytes]] = field(default_factory=list)

    def bodies_of(self, *services: str) -> bytes:
        """All that these services were sent."""
        return b"\n".join(body for service, body in self.bodies if service in services)


@contextmanager
def counted(*gateways: Gateway) -> Iterator[Calls]:
    """Counts the calls of these gateways while the block runs."""
    calls = Calls()

    def note(model: Any, params: Any, **_: Any) -> None:
        service = model.service_model.service_name
        calls.operations.append(f"{service}.{model.name}")
        body = params["body"]
        data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else repr(body).encode()
        calls.bodies.append((service, params["url"].encode() + b" " + data))

    events = [gateway.clients.get(service).meta.events for gateway in gateways for service in SERVICES]
    for emitter in events:
        emitter.register("before-call", note)
    try:
        yield calls
    finally:
        for emitter in events:
            emitter.unregister("before-call", note)
