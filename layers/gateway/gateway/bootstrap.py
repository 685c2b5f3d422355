"""The composition root: settings in, applications and use cases out. Nothing else chooses an adapter.

A face is imported where it is built: a function's cold start pays only for its own.
"""

from __future__ import annotations

import logging
import os
from functools import cached_property
from typing import TYPE_CHECKING

from gateway.adapters.aws.accounts import DynamoAccounts
from gateway.adapters.aws.bus import EventBridgeBus
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.dead_letters import DeadLetters
from gateway.adapters.aws.fleet import SageMakerFleet
from gateway.adapters.aws.jobs import DynamoJobs
from gateway.adapters.aws.ledger import DynamoLedger
from gateway.adapters.aws.lines import DynamoLines
from gateway.adapters.aws.outbox import SqsOutbox, read_message
from gateway.adapters.aws.queues import CALLBACKS, JOB_REFS, STEPS, SqsJobQueue
from gateway.adapters.aws.sagemaker import SageMakerEngine
from gateway.adapters.aws.table import Table
from gateway.adapters.system import SystemClock, SystemIds, reseed
from gateway.application.access import Access
from gateway.application.administration import Administration
from gateway.application.batching import Batches
from gateway.application.calling import MakeCallback
from gateway.application.enqueueing import Enqueue
from gateway.application.filing import Files
from gateway.application.finishing import FinishBatch
from gateway.application.generation import Generate
from gateway.application.images import LoadImages
from gateway.application.intake import Intake
from gateway.application.keyring import Keyring
from gateway.application.orders import Orders
from gateway.application.ports import SearchBackend
from gateway.application.queueing import Queue
from gateway.application.reporting import UsageReport
from gateway.application.searching import WebSearch
from gateway.application.settling import Settle
from gateway.application.splitting import SplitBatch
from gateway.application.upkeep import Sweep, WatchModels
from gateway.application.working import RunJob
from gateway.catalogue import Catalogue, load_catalogue
from gateway.config import Settings
from gateway.domain.callbacks import PORTS as CALLBACK_PORTS
from gateway.entrypoints.http.chat import ChatServices, build_chat_app
from gateway.entrypoints.http.envelope import Envelope
from gateway.entrypoints.observability import Telemetry, start_logging

if TYPE_CHECKING:
    from gateway.adapters.aws.blobs import S3Blobs
    from gateway.application.ports import Web
    from gateway.application.staging import Progress, StageWeights
    from gateway.entrypoints.events.callback import CallbackHandler
    from gateway.entrypoints.events.intake import IntakeHandler
    from gateway.entrypoints.events.outbox import OutboxHandler
    from gateway.entrypoints.events.upkeep import UpkeepHandler
    from gateway.entrypoints.events.worker import WorkerHandler

IMAGE_TIMEOUT_S = 10.0
CALLBACK_TIMEOUT_S = 10.0
"""A host that a client names has so long to answer, redirects and body included."""


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
    def ledger(self) -> DynamoLedger:
        return DynamoLedger(self.table)

    @cached_property
    def settle(self) -> Settle:
        return Settle(self.ledger, SqsOutbox(self.clients, self.settings.outbox_queue_url))

    @cached_property
    def dead_letters(self) -> DeadLetters:
        return DeadLetters(self.clients, self.settings.stack_name)

    @cached_property
    def fleet(self) -> SageMakerFleet:
        return SageMakerFleet(self.clients, self.settings.stack_name)

    @cached_property
    def bus(self) -> EventBridgeBus:
        return EventBridgeBus(self.clients, self.settings.bus_name)

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
        return WatchModels(self.catalogue, self.fleet, self.lines, self.bus, self.clock)

    @cached_property
    def search_backend(self) -> SearchBackend | None:
        """The back end that configuration chose, and only its module."""
        name, budget_s = self.settings.search_backend, self.settings.search_budget_s
        if name == "none":
            return None
        price = float(self.catalogue.search_prices_usd[name])
        if name == "ddgs":
            from gateway.adapters.search.ddgs import DdgsSearch  # noqa: PLC0415

            return DdgsSearch(budget_s=budget_s, usd_per_request=price)
        if name == "searxng":
            from gateway.adapters.search.searxng import SearxngSearch  # noqa: PLC0415

            return SearxngSearch(base_url=self.settings.search_url, budget_s=budget_s, usd_per_request=price)
        from gateway.adapters.aws.secrets import SecretsManagerKey  # noqa: PLC0415

        key = SecretsManagerKey(self.clients, self.settings.search_secret_id)
        if name == "brave":
            from gateway.adapters.search.brave import BraveSearch  # noqa: PLC0415

            return BraveSearch(key, usd_per_request=price, budget_s=budget_s)
        from gateway.adapters.search.tavily import TavilySearch  # noqa: PLC0415

        return TavilySearch(key, usd_per_request=price, budget_s=budget_s)

    @cached_property
    def generate(self) -> Generate:
        return Generate(
            ledger=self.ledger,
            lines=self.lines,
            queue=Queue(self.lines, self.clock, wait_s=self.settings.line_wait_s),
            engine=SageMakerEngine(self.clients, self.settings.stack_name),
            search=WebSearch(self.search_backend, self.clock, self.settings.search_budget_usd),
            load_images=LoadImages(lambda: self.image_web),
            settle=self.settle,
            bus=self.bus,
            clock=self.clock,
            timeout_s=self.settings.request_timeout_s,
            patience_s=self.settings.first_byte_patience_s,
        )

    @cached_property
    def image_web(self) -> Web:
        """What images are fetched by. A chat without a linked one does not pay for importing httpx."""
        from gateway.adapters.web.guarded import GuardedWeb  # noqa: PLC0415

        return GuardedWeb(ports=frozenset({443}), timeout_s=IMAGE_TIMEOUT_S)

    @cached_property
    def callback_web(self) -> Web:
        """What callbacks are sent by."""
        from gateway.adapters.web.guarded import GuardedWeb  # noqa: PLC0415

        return GuardedWeb(ports=CALLBACK_PORTS, timeout_s=CALLBACK_TIMEOUT_S)

    @cached_property
    def jobs(self) -> DynamoJobs:
        return DynamoJobs(self.table)

    @cached_property
    def job_queue(self) -> SqsJobQueue:
        return SqsJobQueue(
            clients=self.clients,
            jobs_url_prefix=self.settings.jobs_queue_url_prefix,
            intake_url=self.settings.intake_queue_url,
            callbacks_url=self.settings.callbacks_queue_url,
        )

    @cached_property
    def blobs(self) -> S3Blobs:
        from gateway.adapters.aws.blobs import S3Blobs  # noqa: PLC0415 - botocore comes with it

        return S3Blobs(self.clients, self.settings.blob_bucket)

    @cached_property
    def enqueue(self) -> Enqueue:
        return Enqueue(
            jobs=self.jobs,
            queue=self.job_queue,
            blobs=self.blobs,
            orders=self.orders,
            clock=self.clock,
            ids=self.ids,
        )

    @cached_property
    def run_job(self) -> RunJob:
        return RunJob(
            jobs=self.jobs,
            queue=self.job_queue,
            blobs=self.blobs,
            orders=self.orders,
            generate=self.generate,
            clock=self.clock,
            ids=self.ids,
        )

    @cached_property
    def files(self) -> Files:
        return Files(jobs=self.jobs, blobs=self.blobs, clock=self.clock, ids=self.ids)

    @cached_property
    def batches(self) -> Batches:
        return Batches(jobs=self.jobs, queue=self.job_queue, files=self.files, clock=self.clock, ids=self.ids)

    @cached_property
    def split_batch(self) -> SplitBatch:
        return SplitBatch(
            jobs=self.jobs,
            queue=self.job_queue,
            blobs=self.blobs,
            orders=self.orders,
            batches=self.batches,
            clock=self.clock,
        )

    @cached_property
    def finish_batch(self) -> FinishBatch:
        return FinishBatch(
            jobs=self.jobs, queue=self.job_queue, blobs=self.blobs, batches=self.batches, clock=self.clock
        )

    @cached_property
    def intake(self) -> Intake:
        return Intake(
            accounts=self.accounts,
            enqueue=self.enqueue,
            batches=self.batches,
            split=self.split_batch,
            finish=self.finish_batch,
            files=self.files,
        )

    def stage_weights(self, *, bucket: str, hub_url: str, hub_token: str | None, progress: Progress) -> StageWeights:
        """What puts weights from a hub into a bucket."""
        from gateway.adapters.aws.weights import S3WeightsBucket  # noqa: PLC0415
        from gateway.adapters.hub import HuggingFaceHub  # noqa: PLC0415
        from gateway.application.staging import StageWeights  # noqa: PLC0415

        hub = HuggingFaceHub(base_url=hub_url, token=hub_token)
        return StageWeights(hub, S3WeightsBucket(self.clients, bucket), progress)

    @cached_property
    def telemetry(self) -> Telemetry:
        return Telemetry(self.start_logging(), self.settings.metrics_namespace)

    def start_logging(self) -> logging.Logger:
        """JSON logs for this process."""
        return start_logging(self.settings.log_level)

    def warm_up(self) -> None:
        """Makes what the first request would otherwise make; connections it opens none, for a snapshot keeps none."""
        self.clients.wire("dynamodb")
        self.clients.wire("sagemaker-runtime")

    def before_snapshot(self) -> None:
        """Readies this process for a snapshot: what a request needs has been loaded, and nothing in it belongs to one
        environment, neither a connection nor credentials."""
        self.warm_up()
        self.clients.forget()

    def after_restore(self) -> None:
        """Gives a restored process what must be its own: randomness, credentials, connections."""
        reseed()
        self.clients.forget()
        self.warm_up()

    def chat_app(self) -> Envelope:
        """The application of the chat function."""
        hooks = {
            self.settings.aws_lwa_snapstart_before_checkpoint_path: self.before_snapshot,
            self.settings.aws_lwa_snapstart_after_restore_path: self.after_restore,
        }
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
                snapshot_hooks={path: step for path, step in hooks.items() if path},
            )
        )

    def account_app(self) -> Envelope:
        """The application of the account function."""
        from gateway.entrypoints.http.account import build_account_app  # noqa: PLC0415
        from gateway.entrypoints.http.batches import BatchRoutes  # noqa: PLC0415
        from gateway.entrypoints.http.desk import Desk  # noqa: PLC0415
        from gateway.entrypoints.http.files import FileRoutes  # noqa: PLC0415
        from gateway.entrypoints.http.jobs import JobRoutes  # noqa: PLC0415
        from gateway.entrypoints.http.keys import KeyRoutes  # noqa: PLC0415
        from gateway.entrypoints.http.models import ModelRoutes  # noqa: PLC0415

        operations = [
            *ModelRoutes(self.orders, self.lines, self.report).operations(),
            *KeyRoutes(self.keyring).operations(),
            *JobRoutes(self.enqueue, self.settings.max_body_bytes).operations(),
            *FileRoutes(self.files, self.jobs).operations(),
            *BatchRoutes(self.batches, self.jobs).operations(),
        ]
        return build_account_app(Desk(self.access, self.clock), operations, new_request_id=self.ids.request_id)

    def outbox_handler(self) -> OutboxHandler:
        """The handler of the outbox function."""
        from gateway.entrypoints.events.outbox import OutboxHandler  # noqa: PLC0415

        self.start_logging()
        return OutboxHandler(self.ledger.settle, read_message)

    def upkeep_handler(self) -> UpkeepHandler:
        """The handler of the upkeep function."""
        from gateway.entrypoints.events.upkeep import UpkeepHandler  # noqa: PLC0415

        return UpkeepHandler(
            watch_models=self.watch_models,
            sweep=self.sweep,
            remind=self.finish_batch.remind,
            telemetry=self.telemetry,
        )

    def worker_handler(self) -> WorkerHandler:
        """The handler of the worker function."""
        from gateway.entrypoints.events.worker import WorkerHandler  # noqa: PLC0415

        return WorkerHandler(self.run_job, JOB_REFS.validate_json, self.telemetry)

    def intake_handler(self) -> IntakeHandler:
        """The handler of the intake function."""
        from gateway.entrypoints.events.intake import IntakeHandler  # noqa: PLC0415

        self.start_logging()
        queue_name = self.settings.intake_queue_url.rpartition("/")[2]
        return IntakeHandler(self.intake, STEPS.validate_json, queue_name)

    def callback_handler(self) -> CallbackHandler:
        """The handler of the callback function."""
        from gateway.entrypoints.events.callback import CallbackHandler  # noqa: PLC0415

        self.start_logging()
        make_callback = MakeCallback(
            jobs=self.jobs,
            queue=self.job_queue,
            web=self.callback_web,
            show=self.enqueue.show,
            clock=self.clock,
        )
        return CallbackHandler(make_callback, CALLBACKS.validate_json)
