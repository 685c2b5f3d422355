"""The schedule's tick and SageMaker's state changes: both end in looking at how things are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.application.upkeep import Sweep, WatchModels
from gateway.entrypoints.events.loop import run
from gateway.entrypoints.observability import Telemetry


class UpkeepHandler:
    """Describes the models, and on a schedule's tick also ends what dead processes left: leases and batches."""

    def __init__(
        self,
        *,
        watch_models: WatchModels,
        sweep: Sweep,
        remind: Callable[[], Awaitable[int]],
        telemetry: Telemetry,
    ) -> None:
        self._watch_models = watch_models
        self._sweep = sweep
        self._remind = remind
        self._telemetry = telemetry

    def __call__(self, event: dict[str, Any], _context: Any) -> dict[str, Any]:
        """What a tick did, for whoever invokes it by hand.

        A state change is only a reason to look at once: what SageMaker says now is truer than what the event said.
        """
        return run(self._look(sweep=event.get("source") != "aws.sagemaker"))

    async def _look(self, *, sweep: bool) -> dict[str, Any]:
        lines = await self._watch_models()
        for line in lines:
            if line.status != "off":
                self._telemetry.demand(line)
        swept = await self._sweep() if sweep else 0
        if sweep:
            await self._remind()
        self._telemetry.swept(swept)
        return {
            "models": {line.model: {"status": line.status, "copies": line.copies} for line in lines},
            "swept": swept,
        }
