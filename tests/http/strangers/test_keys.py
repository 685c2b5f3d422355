"""What a key that opens nothing is told, and what it costs, is the same whatever is wrong with it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import gateway
import pytest
from gateway.domain.keys import format_key

from tests.http.strangers.conftest import GOOD_BODIES, Door
from tests.support.http_client import Response
from tests.support.stack import OpenedAccount, Stack

OPEN = {("GET", "/health")}
ADMITTED = {("POST", "/v1/chat/completions"), ("POST", "/v1/completions")}


@pytest.fixture
def bad_keys(stack: Stack, account: OpenedAccount) -> dict[str, str]:
    """A key for each thing that can be wrong behind the checksum."""
    keyring, ids = stack.gateway.keyring, stack.gateway.ids
    disabled, deleted = stack.add_key(account, "chat"), stack.add_key(stack.open_account(), "chat")
    stack.run(keyring.set_enabled(stack.account_of(disabled), disabled.key_id, enabled=False))
    stack.run(keyring.delete(stack.account_of(deleted), deleted.key_id))
    return {
        "disabled": disabled.key,
        "deleted": deleted.key,
        "wrong secret": format_key(account_id=account.id, key_id=account.key_id, secret=ids.key_secret()),
        "unknown key": format_key(account_id=account.id, key_id=ids.key_id(), secret=ids.key_secret()),
        "unknown account": format_key(account_id=ids.account_id(), key_id=ids.key_id(), secret=ids.key_secret()),
    }


def without_dates(response: Response) -> tuple[int, dict[str, str], bytes]:
    """What a client can tell two answers apart by."""
    own = ("date", "x-request-id")
    return response.status, {name: value for name, value in response.headers.items() if name not in own}, response.body


def asked_of(door: Door) -> Iterator[tuple[str, str, str]]:
    for method, path in door.operations():
        if (method, path) not in OPEN:
            yield method, path, path.replace("{id}", "some-id")


def test_on_every_route_all_bad_keys_get_one_answer_and_cost_one_call(door: Door, bad_keys: dict[str, str]) -> None:
    for method, path, place in asked_of(door):
        answers, costs = [], []
        for key in bad_keys.values():
            door.cost()
            answers.append(without_dates(door(method, place, key, GOOD_BODIES.get((method, path)))))
            costs.append(door.cost())
        call = "DynamoDB.UpdateItem" if (method, path) in ADMITTED else "DynamoDB.GetItem"
        assert costs == [[call]] * len(bad_keys), (method, path)
        assert answers[0][0] == 401
        assert answers == [answers[0]] * len(bad_keys), (method, path)


def test_on_every_route_a_malformed_key_gets_that_answer_too_and_costs_no_call(
    door: Door, bad_keys: dict[str, str], account: OpenedAccount
) -> None:
    typo = account.key[:-1] + ("A" if account.key[-1] != "A" else "B")
    malformed = ["", "sk-", "nonsense", typo, account.key[3:], account.key + "A", account.key.upper(), "sk-\u0661"]
    for method, path, place in asked_of(door):
        body = GOOD_BODIES.get((method, path))
        told = without_dates(door(method, place, bad_keys["wrong secret"], body))
        door.cost()
        answers = [without_dates(door(method, place, key, body)) for key in malformed]
        answers.append(without_dates(door(method, place, None, body)))
        answers.append(without_dates(door(method, place, None, body, Authorization=f"Basic {account.key}")))
        assert door.cost() == []
        assert answers == [told] * len(answers), (method, path)


def test_a_bad_body_changes_nothing_of_the_answer_or_its_price(door: Door, bad_keys: dict[str, str]) -> None:
    for method, path in sorted(ADMITTED):
        told = without_dates(door(method, path, None))
        for key in bad_keys.values():
            door.cost()
            assert without_dates(door(method, path, key, b"{")) == told
            assert door.cost() == ["DynamoDB.GetItem"]


def test_hashes_are_compared_in_constant_time_wherever_we_compare_them() -> None:
    found = []
    for path in sorted(Path(gateway.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Compare) or not isinstance(
                node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn
            ):
                continue
            names = [
                name.attr if isinstance(name, ast.Attribute) else name.id
                for side in (node.left, *node.comparators)
                for name in ast.walk(side)
                if isinstance(name, ast.Attribute | ast.Name)
            ]
            if {"hash", "key_hash"} & set(names):
                found.append(f"{path.name}:{node.lineno}")
    assert found == []
