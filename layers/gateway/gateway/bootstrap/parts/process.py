"""What every process has."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Self

from gateway.adapters.aws.accounts import DynamoAccounts
from gateway.adapters.aws.bus import EventBridgeBus
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.lines import DynamoLines
from gateway.adapters.aws.table import Table
from gateway.adapters.system import SystemClock, SystemIds
from gateway.catalogue import Catalogue, load_catalogue
from gateway.config import Settings
from gateway.entrypoints.observability import Telemetry, start_logging


class Process:
    """One process's parts, each made when it is first wanted."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.ids = SystemIds()
        self.clients = Clients()

    @classmethod
    def from_environment(cls) -> Self:
        """What the process's environment describes."""
        return cls(Settings.from_environment(os.environ))

    @cached_property
    def catalogue(self) -> Catalogue:
        return load_catalogue().as_deployed(self.settings.deployed_models)

    @cached_property
    def table(self) -> Table:
        return Table(self.clients, self.settings.table_name, self.clock)

    @cached_property
    def accounts(self) -> DynamoAccounts:
        return DynamoAccounts(self.table, self.clock)

    @cached_property
    def lines(self) -> DynamoLines:
        return DynamoLines(self.table)

    @cached_property
    def bus(self) -> EventBridgeBus:
        return EventBridgeBus(self.clients, self.settings.bus_name)

    @cached_property
    def telemetry(self) -> Telemetry:
        self.start_logging()
        return Telemetry(self.settings.metrics_namespace)

    def start_logging(self) -> None:
        """JSON logs for this process."""
        start_logging(self.settings.log_level)
