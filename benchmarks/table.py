"""The table of a run: Amazon's DynamoDB Local where it has been fetched, else moto; one account, one ready model."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from gateway.bootstrap.parts.administering import Administering
from gateway.config import Settings
from gateway.domain.keys import format_key

from benchmarks.processes import ROOT, Running, run
from infra.local.credentials import ACCOUNT_ID, REGION, STACK_NAME, local_environment
from infra.local.resources import Resources
from infra.local.template import load_template
from tests.support.ports import free_port

MODEL = "smollm2-135m-instruct"
KEY = format_key(account_id="benchaccount", key_id="benchkey", secret="OpensOnlyATableOnOneOwnMachine00")
SLOTS = 100
"""What one item bears (DESIGN "The queue at the model"); the limit of open requests is out of the way."""
JARS = ROOT / "build" / "dynamodb-local"


@dataclass(frozen=True, slots=True)
class Table:
    """A running table with what is in it."""

    kind: str
    process: Running
    name: str
    gateway: Administering

    def items(self) -> list[dict[str, Any]]:
        """All items, in DynamoDB's own form."""
        found: list[dict[str, Any]] = self._client.scan(TableName=self.name)["Items"]
        return found

    def account_item(self) -> dict[str, Any]:
        """The account's item."""
        return next(item for item in self.items() if item["sk"]["S"] == "ACCOUNT")

    def set_slots(self, slots: int) -> None:
        """How many requests the model serves at once."""
        asyncio.run(self.gateway.lines.describe(MODEL, status="ready", copies=1, slots=slots))

    @property
    def _client(self) -> Any:
        return self.gateway.clients.get("dynamodb")


@contextmanager
def run_table() -> Iterator[Table]:
    """A table until the end of the block. The process's own AWS variables are those of the table from here on."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(local_environment(os.environ))
    kind, command, port = _command()
    with run(command, port=port, environment=dict(os.environ)) as process:
        os.environ["AWS_ENDPOINT_URL"] = process.url
        template = load_template(ROOT / "template.yaml", region=REGION, account_id=ACCOUNT_ID, stack_name=STACK_NAME)
        name = Resources(template, stack_name=STACK_NAME).reference("Table")
        gateway = Administering(
            Settings(table_name=name, outbox_queue_url="http://127.0.0.1:9/none", stack_name=STACK_NAME)
        )
        table = Table(kind, process, name, gateway)
        asyncio.run(_open_account(gateway))
        table.set_slots(SLOTS)
        yield table


def _command() -> tuple[str, list[str], int | None]:
    if not JARS.is_dir():
        return "moto", [sys.executable, "-m", "benchmarks.moto"], None
    port = free_port()
    server = "com.amazonaws.services.dynamodbv2.local.main.ServerRunner"
    classpath = ["java", f"-Djava.library.path={JARS}", "-cp", f"{JARS}/*", server]
    return "DynamoDB Local", [*classpath, "-inMemory", "-disableTelemetry", "-port", str(port)], port


async def _open_account(gateway: Administering) -> None:
    account = await gateway.administration.open_with_key(KEY, name="bench", plan="pro")
    limits = replace(account.limits, max_open_requests=100_000, requests_per_minute=10_000_000)
    await gateway.accounts.update(replace(account, limits=limits))


def as_variable(item: dict[str, Any]) -> str:
    """An item as the scripted upstream takes it."""
    return json.dumps(item)


def stack_environment(table: Table, *, table_url: str, engine_url: str) -> dict[str, str]:
    """What the chat function is told of its stack."""
    return {
        **local_environment({}),
        "TABLE_NAME": table.name,
        "OUTBOX_QUEUE_URL": "http://127.0.0.1:9/none",
        "STACK_NAME": STACK_NAME,
        "AWS_ENDPOINT_URL_DYNAMODB": table_url,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": engine_url,
        "REQUEST_TIMEOUT_S": "300",
    }
