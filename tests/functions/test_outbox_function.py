"""The outbox function: settlements that come late, twice, broken, or to a table that still refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway.adapters.aws.outbox import write_message
from gateway.adapters.aws.outbox_reading import read_message
from gateway.domain.keys import parse_key
from gateway.domain.usage import Settlement, Tokens

from infra.local.context import Context
from tests.functions.leases import RESERVED, admit_lease
from tests.functions.loading import Functions, Handler, read_event
from tests.support.refusing_aws import refusing_aws
from tests.support.stack import OpenedAccount, Stack


@pytest.fixture
def handler(functions: Functions) -> Handler:
    return functions.handler("OutboxFunction")


@pytest.fixture
def settlement(stack: Stack, account: OpenedAccount) -> Settlement:
    """What a running request of the account has yet to settle."""
    lease = admit_lease(stack, account)
    return Settlement(
        lease=lease, status="ok", http_status=200, tokens=Tokens(10, 2), cost_nano_usd=1200, ended_s=lease.admitted_s
    )


def batch(*bodies: str) -> dict[str, Any]:
    """The example event with these messages in place of its own; their ids are `m0`, `m1`, …"""
    event = read_event("sqs_outbox_settlement")
    (record,) = event["Records"]
    return {"Records": [record | {"messageId": f"m{number}", "body": body} for number, body in enumerate(bodies)]}


def failed(answer: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_the_example_is_a_settlement() -> None:
    (record,) = read_event("sqs_outbox_settlement")["Records"]
    example = read_message(record["body"])
    assert example.tokens == Tokens(10, 2)
    assert write_message(example) == record["body"]


def test_a_late_settlement_is_recorded_and_gives_the_quota_back(
    stack: Stack, account: OpenedAccount, settlement: Settlement, handler: Handler, context: Context
) -> None:
    assert stack.account_of(account).tokens_today == RESERVED
    assert failed(handler(batch(write_message(settlement)), context)) == []
    (record,) = stack.usage_records(account)
    assert (record["request_id"], record["total_tokens"]) == (settlement.lease.request_id, 12)
    after = stack.account_of(account)
    assert (after.tokens_today, after.open) == (12, {})


def test_a_settlement_delivered_twice_bills_once(
    stack: Stack, account: OpenedAccount, settlement: Settlement, handler: Handler, context: Context
) -> None:
    body = write_message(settlement)
    assert failed(handler(batch(body, body), context)) == []
    assert failed(handler(batch(body), context)) == []
    assert stack.usage_today(account)["all", ""].requests == 1
    assert stack.account_of(account).tokens_today == 12


@pytest.mark.parametrize("broken", ["", "not json", "{}", json.dumps({"lease": {}}), "[]"])
def test_a_broken_message_comes_back_alone(
    stack: Stack, account: OpenedAccount, settlement: Settlement, handler: Handler, context: Context, broken: str
) -> None:
    assert failed(handler(batch(broken, write_message(settlement), broken), context)) == ["m0", "m2"]
    assert len(stack.usage_records(account)) == 1


def test_a_table_that_refuses_keeps_every_message(
    stack: Stack, account: OpenedAccount, settlement: Settlement, functions: Functions, context: Context
) -> None:
    body = write_message(settlement)
    with refusing_aws("AccessDeniedException") as url:
        handler = functions.handler("OutboxFunction", AWS_ENDPOINT_URL_DYNAMODB=url)
        assert failed(handler(batch(body, body), context)) == ["m0", "m1"]
    assert stack.usage_records(account) == []
    assert settlement.lease.request_id in stack.account_of(account).open


def example(name: str, account: OpenedAccount) -> dict[str, Any]:
    """The example event, of this account."""
    text = json.dumps(read_event(name)).replace("localaccount", account.id).replace("localkey", account.key_id)
    event: dict[str, Any] = json.loads(text)
    return event


def admit_those_of(event: dict[str, Any], stack: Stack, account: OpenedAccount) -> None:
    """As if the requests had been admitted that the event's good messages settle."""
    key = parse_key(account.key)
    assert key is not None
    for record in event["Records"]:
        if "tokens" in record["body"]:
            stack.run(stack.gateway.ledger.admit(read_message(record["body"]).lease, key_hash=key.hash))


def test_the_example_delivered_again_bills_once(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context
) -> None:
    admit_those_of(example("sqs_outbox_settlement", account), stack, account)
    for name in ("sqs_outbox_settlement", "sqs_outbox_settlement_duplicate"):
        assert failed(handler(example(name, account), context)) == []
    assert [record["total_tokens"] for record in stack.usage_records(account)] == [12]


@pytest.mark.parametrize(("name", "settled"), [("sqs_outbox_settlement_bad", 0), ("sqs_outbox_settlement_partial", 2)])
def test_of_example_settlements_the_one_that_can_not_be_read_stays(
    stack: Stack, account: OpenedAccount, handler: Handler, context: Context, name: str, settled: int
) -> None:
    event = example(name, account)
    admit_those_of(event, stack, account)
    (broken,) = [record["messageId"] for record in event["Records"] if "tokens" not in record["body"]]
    assert failed(handler(event, context)) == [broken]
    assert len(stack.usage_records(account)) == settled
