"""The whole service on loopback sockets: AWS's child process, SageMaker's stand-in, the apps under uvicorn."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import uvicorn
from gateway.domain.admission import Account, Scope
from gateway.domain.line import Line
from gateway.domain.usage import Breakdown, day_of
from starlette.types import ASGIApp

from infra.local.child import Child, Reports
from infra.local.credentials import STACK_NAME, local_environment
from infra.local.engine_plug import EngineAnswer, EnginePlug
from infra.local.functions import Function
from infra.local.standin import StandIn, start_sagemaker_standin
from tests.support.gateway import Gateway
from tests.support.scripted_engine import Script, ScriptedEngine

MODEL = "smollm2-135m-instruct"
SECOND_MODEL = "gemma-3-4b-it-qat"
"""Served too, and described by no upkeep: its state, slots and copies are what a test says they are."""
MODEL_NOT_SERVED = "gemma-3-27b-it-qat"

_SERVICES = ("dynamodb", "events", "s3", "secretsmanager", "sqs", "sagemaker")
"""What botocore calls: for the gateway all but the table, for the tests that too."""
_START_S = 60
Result = TypeVar("Result")


@dataclass(slots=True)
class Switch:
    """The engine behind an endpoint, exchanged by each test."""

    engine: EnginePlug

    def answer(self, body: bytes) -> AbstractAsyncContextManager[EngineAnswer]:
        return self.engine.answer(body)


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """An account with the text of its first key."""

    id: str
    key: str

    @property
    def key_id(self) -> str:
        return self.key.split("-")[2]

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


class AppServer:
    """An ASGI application under uvicorn on a free port, in a thread with a loop of its own."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app, host="127.0.0.1", port=0, http="httptools", log_level="critical", access_log=False, lifespan="auto"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="uvicorn", daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the application did not start")
            threading.Event().wait(0.005)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Ends the server and drops its connections."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join()


class Stack:
    """The parts that all tests share. Accounts are cheap: each test opens its own."""

    def __init__(self, state: Path) -> None:
        reports: Reports = SimpleQueue()
        self._aws = Child("aws", state=state, environment=local_environment(os.environ), reports=reports)
        self._aws.order(root=str(Path(__file__).parents[2]), state=str(state), api_key=None)
        _, report = reports.get(timeout=_START_S)
        if report is None or report["event"] != "ready":
            raise RuntimeError(f"the local AWS did not start: {self._aws.last_words()}")
        self.engine = Switch(ScriptedEngine([Script()]))
        self.second_engine = Switch(ScriptedEngine([Script()]))
        self._stand_in: StandIn = start_sagemaker_standin(
            {endpoint_of(MODEL): self.engine, endpoint_of(SECOND_MODEL): self.second_engine}
        )
        self.described: Sequence[Mapping[str, Any]] = report["functions"]
        self.functions = {fields["logical_id"]: Function.from_json(fields) for fields in report["functions"]}
        self.endpoints: Mapping[str, str] = {
            **report["endpoints"],
            "AWS_ENDPOINT_URL_SAGEMAKER": self._stand_in.url,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self._stand_in.url,
        }
        self.environment = {
            **local_environment({}),
            **self.functions["ChatFunction"].environment,
            **self.endpoints,
        }
        self._servers: list[AppServer] = []
        self.gateway = self.make_gateway()
        self.run(self.gateway.watch_models([self.gateway.catalogue.models[MODEL]]))
        self.chat_gateway = self.make_gateway()
        self.chat = self.serve(self.chat_gateway.chat_app())
        account_variables = self.functions["AccountFunction"].environment
        self.account = self.serve(self.make_gateway(**account_variables).account_app())

    def make_gateway(self, **environment: str) -> Gateway:
        """A gateway of its own with these variables over the stack's. Its clients are made here and now, so that the
        process's environment is only borrowed."""
        with borrowed_environment({**self.environment, **environment}):
            gateway = Gateway.from_environment()
            gateway.warm_up()
            for service in _SERVICES:
                gateway.clients.get(service)
        return gateway

    def serve(self, app: ASGIApp) -> AppServer:
        """Serves an application until the stack stops."""
        server = AppServer(app)
        self._servers.append(server)
        return server

    def run(self, step: Coroutine[Any, Any, Result]) -> Result:
        """Runs one coroutine of `gateway`'s to its end."""
        return asyncio.run(step)

    def open_account(self, *, plan: str = "pro", hard_cap_tokens: int | None = None, **limits: int) -> OpenedAccount:
        """A new account of this plan; `limits` are fields of `Limits` to differ from the plan's."""
        administration = self.gateway.administration
        account, key = self.run(administration.open(name="test", plan=plan, hard_cap_tokens=hard_cap_tokens))
        if limits:
            changed = replace(account, limits=replace(account.limits, **limits))
            self.run(self.gateway.accounts.update(changed))
        return OpenedAccount(account.id, key)

    def add_key(self, account: OpenedAccount, *scopes: Scope) -> OpenedAccount:
        """The same account behind another key of these scopes."""
        made = self.gateway.keyring.create(self.account_of(account), name="other", scopes=frozenset(scopes))
        _, text = self.run(made)
        return OpenedAccount(account.id, text)

    def account_of(self, account: OpenedAccount) -> Account:
        """The account as its item is now."""
        found = self.run(self.gateway.accounts.read(account.id))
        assert found is not None
        return found

    def usage_today(self, account: OpenedAccount) -> Breakdown:
        """The day's totals."""
        today = day_of(self.gateway.clock.now_s())
        return self.run(self.gateway.accounts.usage_by_day(account.id, first=today, last=today)).get(today, {})

    def usage_records(self, account: OpenedAccount) -> list[dict[str, Any]]:
        """The usage records, oldest first, numbers and texts as Python's."""
        items = self.gateway.clients.get("dynamodb").query(
            TableName=self.gateway.settings.table_name,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :usage)",
            ExpressionAttributeValues={":pk": {"S": f"ACCOUNT#{account.id}"}, ":usage": {"S": "USAGE#"}},
            ConsistentRead=True,
        )["Items"]
        records = [{name: _plain(value) for name, value in item.items()} for item in items]
        return sorted(records, key=lambda record: record["ended"])

    def line(self, model: str = MODEL) -> Line:
        """The model's line as its item is now."""
        return self.run(self.gateway.lines.look(model))

    def stop(self) -> None:
        """Ends everything that was started."""
        for server in self._servers:
            server.stop()
        self._stand_in.stop()
        self._aws.ask_to_end()
        self._aws.end(within_s=5)


def endpoint_of(model: str) -> str:
    """The name of a model's endpoint in the local stack."""
    return f"{STACK_NAME}-{model}"


@contextmanager
def borrowed_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """The process's variables are these, and nothing of AWS's beside them, until the end of the block."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    return float(content) if kind == "N" and "." in content else int(content) if kind == "N" else content
