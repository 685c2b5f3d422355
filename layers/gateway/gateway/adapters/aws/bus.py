"""The bus on EventBridge."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.wire.errors import AwsRefusal, TransportFailed

logger = logging.getLogger(__name__)

SOURCE = "studiolm"


@dataclass(frozen=True, slots=True)
class EventBridgeBus:
    """Keeps the promises of `ports.Bus`."""

    clients: Clients
    bus_name: str

    async def publish(self, kind: str, detail: Mapping[str, Any]) -> None:
        """See `ports.Bus.publish`."""
        entry = {"Source": SOURCE, "DetailType": kind, "Detail": json.dumps(detail), "EventBusName": self.bus_name}
        try:
            answer = await self.clients.call("events", "put_events", Entries=[entry])
        except (TransportFailed, AwsRefusal):
            logger.exception("event %s lost", kind)
            return
        if answer["FailedEntryCount"]:
            logger.error("event %s refused: %s", kind, answer["Entries"][0].get("ErrorCode"))
