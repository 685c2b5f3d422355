"""Each port's suite runs on the fake and on the AWS adapter against moto."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from gateway.adapters.aws.accounts import DynamoAccounts
from gateway.adapters.aws.clients import Clients
from gateway.adapters.aws.ledger import DynamoLedger
from gateway.adapters.aws.lines import DynamoLines
from gateway.adapters.aws.outbox import SqsOutbox
from gateway.adapters.aws.outbox_reading import read_message
from gateway.adapters.aws.table import Table
from gateway.application.ports import Accounts, Ledger, Lines, Outbox
from gateway.domain.admission import Account
from gateway.domain.usage import Settlement

from tests.support.accounts import Customer, new_customer
from tests.support.aws import Aws, connect, run_aws
from tests.support.clock import ManualClock
from tests.support.fake_ledger import Books, FakeAccounts, FakeLedger
from tests.support.fake_lines import FakeLines
from tests.support.fakes import FakeOutbox


@dataclass
class Store:
    """The ports over one set of data, and what a test reads behind their backs."""

    clock: ManualClock
    ledger: Ledger
    accounts: Accounts
    lines: Lines
    outbox: Outbox
    records: Callable[[str], Awaitable[list[dict[str, Any]]]]
    """The usage records of an account: status, http_status, prompt_tokens, completion_tokens, cost_nano_usd."""
    counters: Callable[[str], Awaitable[dict[str, int]]]
    """The counters of days and minutes on an account's item."""
    kept: Callable[[], Awaitable[list[Settlement]]]
    """What waits in the outbox; reading empties it."""

    async def open(self, **settings: Any) -> Customer:
        """A new customer of these settings, written."""
        customer = new_customer(**settings)
        await self.accounts.create(customer.account)
        return customer

    async def account(self, customer: Customer) -> Account:
        """The customer's account as it is now."""
        account = await self.accounts.read(customer.account.id)
        assert account is not None
        return account


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """One moto for all contract tests; each test makes accounts and models of its own."""
    with run_aws() as running:
        yield running


@pytest.fixture(scope="session")
def clients(aws: Aws) -> Clients:
    """Clients of that moto."""
    return connect(aws.url)


@pytest.fixture(params=["fake", "aws"])
def store(request: pytest.FixtureRequest) -> Store:
    """The ports, in memory or on moto."""
    if request.param == "fake":
        return fake_store()
    return aws_store(request.getfixturevalue("aws"), request.getfixturevalue("clients"))


def fake_store() -> Store:
    """The ports in memory."""
    clock, books, outbox = ManualClock(), Books(), FakeOutbox()

    async def records(account_id: str) -> list[dict[str, Any]]:
        return [
            {
                "status": record.status,
                "http_status": record.http_status,
                "prompt_tokens": record.tokens.prompt,
                "completion_tokens": record.tokens.completion,
                "cost_nano_usd": record.cost_nano_usd,
            }
            for record in books.of(account_id)
        ]

    async def counters(account_id: str) -> dict[str, int]:
        return dict(books.pages[account_id].counters)

    async def kept() -> list[Settlement]:
        settlements, outbox.kept = outbox.kept, []
        return settlements

    return Store(clock, FakeLedger(books), FakeAccounts(books, clock), FakeLines(), outbox, records, counters, kept)


def aws_store(aws: Aws, clients: Clients) -> Store:
    """The ports on a moto, or on whatever stands between `clients` and it."""
    clock = ManualClock()
    table = Table(clients, aws.table, clock)

    async def records(account_id: str) -> list[dict[str, Any]]:
        page = clients.get("dynamodb").query(
            TableName=aws.table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :usage)",
            ExpressionAttributeValues={":pk": {"S": f"ACCOUNT#{account_id}"}, ":usage": {"S": "USAGE#"}},
        )
        return [
            {
                name: _plain(item[name])
                for name in ("status", "http_status", "prompt_tokens", "completion_tokens", "cost_nano_usd")
            }
            for item in page["Items"]
        ]

    async def counters(account_id: str) -> dict[str, int]:
        key = {"pk": {"S": f"ACCOUNT#{account_id}"}, "sk": {"S": "ACCOUNT"}}
        item = clients.get("dynamodb").get_item(TableName=aws.table, Key=key)["Item"]
        return {name: int(value["N"]) for name, value in item.items() if name[0] in "tr" and name[1:].isdigit()}

    async def kept() -> list[Settlement]:
        sqs, settlements = clients.get("sqs"), []
        while messages := sqs.receive_message(QueueUrl=aws.outbox_url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                settlements.append(read_message(message["Body"]))
                sqs.delete_message(QueueUrl=aws.outbox_url, ReceiptHandle=message["ReceiptHandle"])
        return settlements

    return Store(
        clock,
        DynamoLedger(table),
        DynamoAccounts(table, clock),
        DynamoLines(table),
        SqsOutbox(clients, aws.outbox_url),
        records,
        counters,
        kept,
    )


def _plain(value: dict[str, Any]) -> int | str:
    return int(value["N"]) if "N" in value else str(value["S"])
