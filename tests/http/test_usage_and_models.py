"""GET /v1/usage and GET /v1/models."""

from __future__ import annotations

import pytest

from tests.http.asking import COMPLETIONS, Asker
from tests.http.test_errors import assert_error
from tests.support.engine_pieces import whole
from tests.support.http_client import request
from tests.support.scripted_engine import STREAM_BROKEN, Script, ScriptedEngine
from tests.support.sse_reader import read_events
from tests.support.stack import MODEL, MODEL_NOT_SERVED, OpenedAccount, Stack


def test_usage_is_the_sum_of_what_clients_were_told(
    stack: Stack, account: OpenedAccount, engine: ScriptedEngine
) -> None:
    engine.scripts = [Script(pieces=whole("Hello", prompt=5 * n, completion=n)) for n in range(1, 6)]
    other = stack.add_key(account, "chat")
    first, second = (Asker(stack.chat.port, key.authorization) for key in (account, other))
    told = [first().json()["usage"], second().json()["usage"]]
    told.append(read_events(first.stream()[1])[-2]["usage"])
    told.append(read_events(second.stream(stream_options={"include_usage": True})[1])[-2]["usage"])
    told.append(first(path=COMPLETIONS, prompt="hi", messages=None).json()["usage"])
    report = request(stack.account.port, "GET", "/v1/usage", headers=account.authorization).json()
    for period in ("today", "week", "month"):
        totals = report[period]
        for field in ("prompt_tokens", "completion_tokens", "total_tokens"):
            assert totals[field] == sum(usage[field] for usage in told)
        assert totals["cost"] == pytest.approx(sum(usage["cost"] for usage in told))
        assert (totals["requests"], totals["errors"], totals["error_rate"]) == (5, 0, 0.0)
        for group in ("keys", "models", "endpoints"):
            assert sum(part["total_tokens"] for part in totals[group].values()) == totals["total_tokens"]
    assert report["today"]["keys"][other.key_id]["requests"] == 2
    assert report["today"]["models"][MODEL]["requests"] == 5
    assert report["today"]["endpoints"][COMPLETIONS]["requests"] == 1
    assert (report["open_requests"], report["reserved_tokens"]) == (0, 0)


def test_usage_tells_the_error_rate(stack: Stack, account: OpenedAccount, engine: ScriptedEngine, ask: Asker) -> None:
    engine.scripts = [Script(pieces=whole("Hello")), Script(ending=STREAM_BROKEN), Script(pieces=whole("Hello"))]
    assert [ask().status for _ in range(4)] == [200, 500, 200, 200]
    today = request(stack.account.port, "GET", "/v1/usage", headers=account.authorization).json()["today"]
    assert (today["requests"], today["errors"], today["error_rate"]) == (4, 1, 0.25)


def test_usage_tells_what_is_billed_past_the_day(stack: Stack, engine: ScriptedEngine) -> None:
    engine.scripts = [Script(pieces=whole("Hello", prompt=1_000_000, completion=100_000))]
    account = stack.open_account(plan="pro")
    Asker(stack.chat.port, account.authorization)()
    today = request(stack.account.port, "GET", "/v1/usage", headers=account.authorization).json()["today"]
    assert today["billed"] == 1.0


def test_an_account_sees_its_own_usage_only(stack: Stack, ask: Asker, engine: ScriptedEngine) -> None:
    assert ask().status == 200
    stranger = stack.open_account()
    report = request(stack.account.port, "GET", "/v1/usage", headers=stranger.authorization).json()
    assert report["today"]["requests"] == 0
    assert report["month"]["models"] == {}


def test_models_are_listed_with_what_a_client_needs_to_choose(stack: Stack, account: OpenedAccount) -> None:
    listed = request(stack.account.port, "GET", "/v1/models", headers=account.authorization).json()
    assert listed["object"] == "list"
    models = {model["id"]: model for model in listed["data"]}
    assert set(models) == set(stack.gateway.catalogue.models)
    for model in models.values():
        assert (model["object"], model["type"]) == ("model", "chat")
        assert model["owned_by"]
        assert isinstance(model["created"], int)
        assert model["context_length"] >= model["max_completion_tokens"] > 0
    assert (models[MODEL]["status"], models[MODEL_NOT_SERVED]["status"]) == ("ready", "off")


def test_one_model_is_shown_as_it_is_listed(stack: Stack, account: OpenedAccount) -> None:
    listed = request(stack.account.port, "GET", "/v1/models", headers=account.authorization).json()["data"]
    for model in listed:
        shown = request(stack.account.port, "GET", f"/v1/models/{model['id']}", headers=account.authorization)
        assert shown.json()["id"] == model["id"]
        assert shown.json().keys() == model.keys()


def test_a_model_that_is_not_in_the_catalogue_is_404(stack: Stack, account: OpenedAccount) -> None:
    response = request(stack.account.port, "GET", "/v1/models/gpt-4o", headers=account.authorization)
    assert_error(response, 404, "not_found_error", reason="model_not_found")
