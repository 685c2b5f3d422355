"""The upkeep function."""

from __future__ import annotations

from functools import cached_property

from gateway.adapters.aws.fleet import SageMakerFleet
from gateway.application.upkeep import Sweep, WatchModels
from gateway.bootstrap.parts.books import Books
from gateway.bootstrap.parts.finishing import Finishing
from gateway.entrypoints.events.upkeep import UpkeepHandler


class UpkeepFunction(Books, Finishing):
    """Keeps models, leases and batches true."""

    @cached_property
    def fleet(self) -> SageMakerFleet:
        return SageMakerFleet(self.clients, self.settings.stack_name)

    @cached_property
    def sweep(self) -> Sweep:
        return Sweep(self.accounts, self.settle, self.clock)

    @cached_property
    def watch_models(self) -> WatchModels:
        return WatchModels(self.catalogue, self.fleet, self.lines, self.bus, self.clock)

    def upkeep_handler(self) -> UpkeepHandler:
        """The handler of the upkeep function."""
        return UpkeepHandler(
            watch_models=self.watch_models,
            sweep=self.sweep,
            remind=self.finish_batch.remind,
            telemetry=self.telemetry,
        )
