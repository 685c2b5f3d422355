"""The composition root: settings in, applications and use cases out. Nothing else chooses an adapter."""

from __future__ import annotations

import os
from functools import cached_property

from aws_lambda_powertools import Logger

from gateway.adapters.aws.accounts import DynamoAccounts
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.fleet import SageMakerFleet
from gateway.adapters.aws.ledger import DynamoLedger
from gateway.adapters.aws.lines import DynamoLines
from gateway.adapters.aws.outbox import SqsOutbox, read_message
from gateway.adapters.aws.sagemaker import SageMakerEngine
from gateway.adapters.aws.table import Table
from gateway.adapters.system import SystemClock, SystemIds
from gateway.application.access import Access
from gateway.application.administration import Administration
from gateway.application.generation import Generate
from gateway.application.keyring import Keyring
from gateway.application.orders import Orders
from gateway.application.queueing import Queue
from gateway.application.reporting import UsageReport
from gateway.application.settling import Settle
from gateway.application.upkeep import Sweep, WatchModels
from gateway.catalogue import Catalogue, load_catalogue
from gateway.config import Settings
from gateway.entrypoints.events.outbox import OutboxHandler
from gateway.entrypoints.events.upkeep import UpkeepHandler
from gateway.entrypoints.http.chat import ChatServices, build_chat_app
from gateway.entrypoints.http.envelope import Envelope
from gateway.entrypoints.observability import Telemetry, start_logging


class Gateway:
    """One process's parts, each made when it is first wanted."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.ids = SystemIds()
        self.clients = Clients()

    @classmethod
    def from_environment(cls) -> Gateway:
        """The gateway that the process's environment describes."""
        return cls(Settings.from_environment(os.environ))

    @cached_property
    def catalogue(self) -> Catalogue:
        return load_catalogue()

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
    def ledger(self) -> DynamoLedger:
        return DynamoLedger(self.table)

    @cached_property
    def settle(self) -> Settle:
        return Settle(self.ledger, SqsOutbox(self.clients, self.settings.outbox_queue_url))

    @cached_property
    def fleet(self) -> SageMakerFleet:
        return SageMakerFleet(self.clients, self.settings.stack_name)

    @cached_property
    def access(self) -> Access:
        return Access(self.accounts, self.clock)

    @cached_property
    def orders(self) -> Orders:
        return Orders(self.catalogue, self.ids)

    @cached_property
    def keyring(self) -> Keyring:
        return Keyring(self.accounts, self.catalogue, self.ids, self.clock)

    @cached_property
    def administration(self) -> Administration:
        return Administration(self.accounts, self.catalogue, self.ids, self.clock)

    @cached_property
    def report(self) -> UsageReport:
        return UsageReport(self.accounts, self.catalogue, self.clock)

    @cached_property
    def sweep(self) -> Sweep:
        return Sweep(self.accounts, self.settle, self.clock)

    @cached_property
    def watch_models(self) -> WatchModels:
        return WatchModels(self.catalogue, self.fleet, self.lines, self.clock)

    @cached_property
    def generate(self) -> Generate:
        return Generate(
            ledger=self.ledger,
            lines=self.lines,
            queue=Queue(self.lines, self.clock, wait_s=self.settings.line_wait_s),
            engine=SageMakerEngine(self.clients, self.settings.stack_name),
            settle=self.settle,
            clock=self.clock,
            timeout_s=self.settings.request_timeout_s,
            patience_s=self.settings.first_byte_patience_s,
        )

    @cached_property
    def logger(self) -> Logger:
        return start_logging(self.settings.log_level)

    @cached_property
    def telemetry(self) -> Telemetry:
        return Telemetry(self.logger, self.settings.metrics_namespace)

    def warm_up(self) -> None:
        """Makes what the first request would otherwise make: clients, and the logger."""
        self.clients.get("dynamodb")
        self.clients.get("sagemaker-runtime")

    def chat_app(self) -> Envelope:
        """The application of the chat function."""
        return build_chat_app(
            ChatServices(
                access=self.access,
                orders=self.orders,
                generate=self.generate,
                clock=self.clock,
                ids=self.ids,
                max_body_bytes=self.settings.max_body_bytes,
                on_settled=self.telemetry.settled,
                warm_up=self.warm_up,
            )
        )

    def account_app(self) -> Envelope:
        """The application of the account function."""
        from gateway.entrypoints.http.account import AccountServices, build_account_app  # noqa: PLC0415 - brings FastAPI

        return build_account_app(
            AccountServices(
                access=self.access,
                keyring=self.keyring,
                report=self.report,
                lines=self.lines,
                orders=self.orders,
                catalogue=self.catalogue,
                clock=self.clock,
                ids=self.ids,
            )
        )

    def outbox_handler(self) -> OutboxHandler:
        """The handler of the outbox function."""
        _ = self.logger
        return OutboxHandler(settle=self.ledger.settle, read_message=read_message)

    def upkeep_handler(self) -> UpkeepHandler:
        """The handler of the upkeep function."""
        return UpkeepHandler(watch_models=self.watch_models, sweep=self.sweep, telemetry=self.telemetry)
