"""What the operator can do, on the table of template.yaml."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import httpx
import pytest
from gateway.config import Settings
from gateway.domain.errors import AuthenticationFailed, GatewayError, PermissionDenied
from gateway.domain.keys import hash_key, parse_key
from gateway.domain.usage import Lease, Settlement, Tokens

from tests.cli.conftest import Deployment, Operator
from tests.support.gateway import Gateway


@pytest.fixture
def gateway(deployment: Deployment, operator: Operator) -> Gateway:
    """The service on the same table; `operator` has put its way there into the environment."""
    return Gateway(Settings(table_name=deployment.table, outbox_queue_url=deployment.queue_url, stack_name="studiolm"))


def opened(operator: Operator, *, plan: str = "pro", name: str = "Ann") -> tuple[str, str]:
    """A new account's id and its first key."""
    values = operator.values("accounts", "create", name, "--plan", plan)
    return values["ACCOUNT_ID"], values["API_KEY"]


def shown(operator: Operator, account: str) -> dict[str, Any]:
    """An account as `accounts show --json` tells it."""
    fields: dict[str, Any] = json.loads(operator.output("accounts", "show", account, "--json"))
    return fields


def ask_models(gateway: Gateway, key: str) -> httpx.Response:
    """The service's answer to GET /v1/models under this key."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=gateway.account_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.get("/v1/models", headers={"authorization": f"Bearer {key}"})

    return asyncio.run(ask())


def admit(gateway: Gateway, key: str, *, request_id: str) -> Lease:
    """Admits a request as the chat routes do. Raises the GatewayError that the client would see."""
    parsed = parse_key(key)
    assert parsed is not None
    assert parsed.hash is not None
    now_s = int(gateway.clock.now_s())
    lease = Lease(
        request_id=request_id,
        account_id=parsed.account_id,
        key_id=parsed.key_id,
        model="smollm2-135m-instruct",
        endpoint="/v1/chat/completions",
        reserved_tokens=100,
        admitted_s=now_s,
        deadline_s=now_s + 60,
    )
    asyncio.run(_admit(gateway, lease, parsed.hash))
    return lease


async def _admit(gateway: Gateway, lease: Lease, key_hash: str) -> None:
    await gateway.ledger.admit(lease, key_hash=key_hash)


async def _settle(gateway: Gateway, settlement: Settlement) -> None:
    await gateway.ledger.settle(settlement)


def test_a_new_account_prints_its_id_and_a_key_that_works_each_on_a_line_for_scripts(
    operator: Operator, gateway: Gateway
) -> None:
    result = operator.run("accounts", "create", "Ann", "--plan", "pro", "--cap", "5000")
    assert re.fullmatch(r"ACCOUNT_ID=[0-9a-z]{12}\nAPI_KEY=sk-\S+\n", result.stdout)
    account, key = (line.split("=", 1)[1] for line in result.stdout.splitlines())
    assert ask_models(gateway, key).status_code == 200
    fields = shown(operator, account)
    assert (fields["name"], fields["plan"], fields["cap_tokens"], fields["daily_tokens"]) == ("Ann", "pro", 5000, 5000)


def test_a_secret_is_shown_once_and_by_no_other_command(operator: Operator) -> None:
    account, first = opened(operator)
    made = operator.values("keys", "create", account, "--name", "second")
    texts = (first, made["API_KEY"])
    secrets = [*(text.rsplit("-", 1)[1] for text in texts), *(hash_key(text) for text in texts)]
    for command in (
        ("accounts", "list"),
        ("accounts", "show", account),
        ("keys", "list", account),
        ("usage", account),
    ):
        for arguments in (command, (*command, "--json")):
            output = operator.output(*arguments)
            assert [secret for secret in secrets if secret in output] == []


def test_a_suspended_account_is_refused_on_the_next_request_until_it_is_resumed(
    operator: Operator, gateway: Gateway
) -> None:
    account, key = opened(operator)
    admit(gateway, key, request_id="before")
    operator.output("accounts", "suspend", account)
    answer = ask_models(gateway, key)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (403, "account_suspended")
    with pytest.raises(PermissionDenied) as refused:
        admit(gateway, key, request_id="while")
    assert refused.value.reason == "account_suspended"
    operator.output("accounts", "resume", account)
    admit(gateway, key, request_id="after")
    assert ask_models(gateway, key).status_code == 200


def test_a_disabled_key_is_refused_on_the_next_request_until_it_is_enabled(
    operator: Operator, gateway: Gateway
) -> None:
    account, _ = opened(operator)
    made = operator.values("keys", "create", account, "--name", "bot")
    admit(gateway, made["API_KEY"], request_id="before")
    operator.output("keys", "disable", account, made["KEY_ID"])
    with pytest.raises(AuthenticationFailed):
        admit(gateway, made["API_KEY"], request_id="while")
    operator.output("keys", "enable", account, made["KEY_ID"])
    admit(gateway, made["API_KEY"], request_id="after")
    operator.output("keys", "delete", account, made["KEY_ID"])
    with pytest.raises(AuthenticationFailed):
        admit(gateway, made["API_KEY"], request_id="deleted")
    assert [key["name"] for key in json.loads(operator.output("keys", "list", account, "--json"))] == ["first"]


def test_a_key_has_the_scopes_that_were_given_and_chat_alone_by_itself(operator: Operator) -> None:
    account, first = opened(operator)
    operator.output("keys", "create", account, "--name", "plain")
    operator.output(
        "keys", "create", account, "--name", "both", "--scope", "chat", "--scope", "admin", "--replaces", _id_of(first)
    )
    keys = {key["name"]: key["scopes"] for key in json.loads(operator.output("keys", "list", account, "--json"))}
    assert keys == {"plain": ["chat"], "both": ["admin", "chat"]}


def test_a_lost_only_key_of_a_free_account_can_be_replaced(operator: Operator, gateway: Gateway) -> None:
    account, lost = opened(operator, plan="free")
    assert "room for 1 key" in operator.refusal("keys", "create", account, "--name", "new", "--scope", "admin")
    made = operator.values("keys", "create", account, "--name", "new", "--scope", "admin", "--replaces", _id_of(lost))
    assert ask_models(gateway, lost).status_code == 401
    assert ask_models(gateway, made["API_KEY"]).status_code == 200


def test_the_last_admin_key_stays(operator: Operator) -> None:
    account, first = opened(operator)
    assert "last enabled key" in operator.refusal("keys", "delete", account, _id_of(first))
    assert "last enabled key" in operator.refusal("keys", "disable", account, _id_of(first))


def test_plan_and_cap_change_the_limits_that_the_next_request_meets(operator: Operator, gateway: Gateway) -> None:
    account, key = opened(operator, plan="free")
    operator.output("accounts", "set-cap", account, "50")
    admit(gateway, key, request_id="one")
    with pytest.raises(GatewayError) as refused:
        admit(gateway, key, request_id="two")
    assert refused.value.reason == "tokens_reserved"
    operator.output("accounts", "set-cap", account, "none")
    admit(gateway, key, request_id="three")
    operator.output("accounts", "set-plan", account, "pro")
    fields = shown(operator, account)
    assert (fields["plan"], fields["cap_tokens"], fields["daily_tokens"]) == ("pro", None, None)
    assert fields["open_requests"] == 2
    assert fields["reserved_tokens"] == 200


def test_usage_is_told_by_period_key_model_and_endpoint(operator: Operator, gateway: Gateway) -> None:
    account, key = opened(operator)
    lease = admit(gateway, key, request_id="used")
    settlement = Settlement(
        lease=lease,
        status="ok",
        http_status=200,
        tokens=Tokens(1200, 34),
        cost_nano_usd=123_400,
        ended_s=lease.admitted_s,
    )
    asyncio.run(_settle(gateway, settlement))
    rows = [line.split() for line in operator.output("usage", account).splitlines()]
    measures = ["1", "0", "1,200", "34", "1,234", "0.000123"]
    assert rows[1] == ["today", "all", "-", *measures, "0.000000"]
    assert rows[2] == ["today", "key", lease.key_id, *measures, "-"]
    assert rows[3] == ["today", "model", "smollm2-135m-instruct", *measures, "-"]
    assert rows[4] == ["today", "endpoint", "/v1/chat/completions", *measures, "-"]
    assert [row[0] for row in rows[1:]] == ["today"] * 4 + ["week"] * 4 + ["month"] * 4
    report = json.loads(operator.output("usage", account, "--json"))
    assert report["month"]["total_tokens"] == 1234
    assert report["month"]["cost"] == 0.0001234


def test_accounts_are_listed_oldest_first_one_line_each_however_long(operator: Operator) -> None:
    name = "A name that is far wider than the eighty columns of a terminal " * 3
    account, _ = opened(operator, name=name)
    lines = operator.output("accounts", "list").splitlines()
    assert lines[0].split() == ["ID", "NAME", "PLAN", "ACTIVE", "CAP", "TOKENS", "TODAY", "OPEN", "KEYS", "CREATED"]
    (line,) = [line for line in lines if line.startswith(account)]
    assert name.strip() in line
    accounts = json.loads(operator.output("accounts", "list", "--json"))
    assert len(accounts) == len(lines) - 1
    assert account in [each["id"] for each in accounts]
    assert [each["created"] for each in accounts] == sorted(each["created"] for each in accounts)


def test_an_escape_sequence_in_a_customers_name_does_not_reach_the_terminal(operator: Operator) -> None:
    account, _ = opened(operator, name="\x1b[2J\x1b]0;owned\x07\nevil")
    output = operator.output("accounts", "list") + operator.output("accounts", "show", account)
    assert not {"\x1b", "\x07"} & set(output)
    assert [line for line in output.splitlines() if line.startswith("evil")] == []


def test_the_catalogue_is_listed_with_the_models_state(operator: Operator, gateway: Gateway) -> None:
    plans = {plan["id"]: plan for plan in json.loads(operator.output("plans", "list", "--json"))}
    assert plans.keys() == gateway.catalogue.plans.keys()
    assert plans["pro"]["overage_usd_per_million"] == 1.0
    assert {line.split()[0] for line in operator.output("plans", "list").splitlines()} == {"ID", *plans}
    models = {model["id"]: model for model in json.loads(operator.output("models", "list", "--json"))}
    assert models.keys() == gateway.catalogue.models.keys()
    assert {model["status"] for model in models.values()} == {"off"}
    assert {line.split()[0] for line in operator.output("models", "list").splitlines()} == {"ID", *models}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("accounts", "show", "nobody"), "no account 'nobody'"),
        (("accounts", "suspend", "nobody"), "no account 'nobody'"),
        (("accounts", "set-cap", "nobody", "none"), "no account 'nobody'"),
        (("accounts", "create", "Ann", "--plan", "gold"), "there are: free, pro"),
        (("keys", "list", "nobody"), "no account 'nobody'"),
        (("usage", "nobody"), "no account 'nobody'"),
    ],
)
def test_a_refusal_is_one_sentence_on_stderr(operator: Operator, arguments: tuple[str, ...], words: str) -> None:
    assert words in operator.refusal(*arguments)


def test_a_key_that_does_not_exist_is_refused_by_name(operator: Operator) -> None:
    account, _ = opened(operator)
    for verb in ("disable", "enable", "delete"):
        assert "no key 'nokey'" in operator.refusal("keys", verb, account, "nokey")


@pytest.mark.parametrize(
    "arguments",
    [
        ("accounts", "set-cap", "anyone", "0"),
        ("accounts", "set-cap", "anyone", "many"),
        ("accounts", "create", "Ann", "--plan", "pro", "--cap", "0"),
        ("keys", "create", "anyone", "--name", "x", "--scope", "root"),
        ("--port", "8000", "plans", "list"),
        ("--local", "--table", "t", "plans", "list"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused_before_anything_is_asked(
    operator: Operator, arguments: tuple[str, ...]
) -> None:
    result = operator.run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: Invalid value" in result.stderr


def _id_of(key: str) -> str:
    parsed = parse_key(key)
    assert parsed is not None
    return parsed.key_id
