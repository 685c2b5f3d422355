"""The account function behind API Gateway's events."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from infra.local.context import Context
from tests.functions.loading import Functions, Handler, read_event
from tests.support.stack import MODEL, OpenedAccount


@pytest.fixture
def handler(functions: Functions) -> Handler:
    return functions.handler("AccountFunction")


def signed(name: str, account: OpenedAccount, **changes: Any) -> dict[str, Any]:
    """The example event with this account's key, and other parts changed."""
    event = read_event(name)
    event["headers"]["Authorization"] = f"Bearer {account.key}"
    event["multiValueHeaders"]["Authorization"] = [f"Bearer {account.key}"]
    return event | changes


def headers_of(answer: dict[str, Any]) -> dict[str, str]:
    single = answer.get("headers") or {}
    many = answer.get("multiValueHeaders") or {}
    return {**{name: values[0] for name, values in many.items()}, **single}


def test_the_models_are_listed(handler: Handler, account: OpenedAccount, context: Context) -> None:
    answer = handler(signed("apigw_models", account), context)
    assert answer["statusCode"] == 200
    assert answer["isBase64Encoded"] is False
    assert MODEL in {model["id"] for model in json.loads(answer["body"])["data"]}
    assert headers_of(answer)["x-ratelimit-limit-requests"] == "600"
    assert headers_of(answer)["access-control-allow-origin"] == "*"


def test_usage_is_told(handler: Handler, account: OpenedAccount, context: Context) -> None:
    answer = handler(signed("apigw_usage", account), context)
    assert (answer["statusCode"], json.loads(answer["body"])["account"]) == (200, account.id)


@pytest.mark.parametrize("encoded", [False, True])
def test_a_key_is_made_from_the_body(handler: Handler, account: OpenedAccount, context: Context, encoded: bool) -> None:
    event = signed("apigw_keys_create", account)
    if encoded:
        event |= {"body": base64.b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}
    answer = handler(event, context)
    assert answer["statusCode"] == 201
    assert json.loads(answer["body"])["name"] == "laptop"


def test_a_bad_body_is_refused_by_field(handler: Handler, account: OpenedAccount, context: Context) -> None:
    answer = handler(signed("apigw_keys_create_bad", account), context)
    assert (answer["statusCode"], json.loads(answer["body"])["error"]["param"]) == (400, "name")


def test_the_example_s_own_key_is_a_stranger_s_here(handler: Handler, account: OpenedAccount, context: Context) -> None:
    event = signed("apigw_models", OpenedAccount(account.id, account.key[:-1] + "_"))
    answer = handler(event, context)
    assert (answer["statusCode"], headers_of(answer)["www-authenticate"]) == (401, "Bearer")


def test_an_unknown_route_is_404_in_the_contract_s_shape(
    handler: Handler, account: OpenedAccount, context: Context
) -> None:
    answer = handler(signed("apigw_unknown_route", account), context)
    assert answer["statusCode"] == 404
    assert json.loads(answer["body"])["error"]["reason"] == "route_not_found"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_generation_is_no_route_of_this_function(
    handler: Handler, account: OpenedAccount, context: Context, path: str
) -> None:
    answer = handler(signed("apigw_models", account, path=path, httpMethod="POST"), context)
    assert answer["statusCode"] == 404


def test_the_handler_answers_one_event_after_another(
    handler: Handler, account: OpenedAccount, context: Context
) -> None:
    event = signed("apigw_models", account)
    assert [handler(event, context)["statusCode"] for _ in range(5)] == [200] * 5
