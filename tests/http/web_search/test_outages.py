"""CONTRACT "Web search" where the search can't be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from gateway.adapters.aws.secrets import SecretsManagerKey
from gateway.adapters.search.brave import BraveSearch
from gateway.domain.errors import SearchFailed

from tests.http.asking import Asker
from tests.http.web_search.told import FACES, QUERY, YES, nothing_is_left, says, told
from tests.support.engine_pieces import whole
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.search_servers import KEY, Brave, SearchServer, search_server
from tests.support.stack import AppServer, OpenedAccount, Stack, borrowed_environment


@FACES
@pytest.mark.parametrize("outage", ["failing", "not_json", "redirect", "dropped", "rate_limited_for_an_hour"])
def test_auto_answers_without_a_search_that_can_not_be_had_and_says_so(
    ask: Asker, engine: ScriptedEngine, web: SearchServer, outage: Any, stream: bool
) -> None:
    web.script += [outage, outage]
    says(engine, YES, "About 300 m, see [here](https://mine.example/x).")
    answer = told(ask, stream=stream, web_search="auto")
    assert answer.content == "About 300 m, see [here](https://mine.example/x)."
    assert answer.response.headers["x-search-status"] == "unavailable"
    assert not {"search_results", "images"} & answer.top.keys()
    assert answer.usage["server_tool_use_details"] == {"web_search_requests": 0}


@FACES
@pytest.mark.parametrize("mode", ["force", "images"])
@pytest.mark.parametrize("outage", ["failing", "not_json", "dropped"])
def test_a_search_that_must_be_had_and_can_not_is_a_real_503_that_costs_nothing(
    ask: Asker,
    engine: ScriptedEngine,
    web: SearchServer,
    stack: Stack,
    account: OpenedAccount,
    outage: Any,
    mode: str,
    stream: bool,
) -> None:
    web.script += [outage, outage]
    says(engine, QUERY, "never asked")
    response = ask(stream=stream, web_search=mode)
    assert (response.status, response.error["type"]) == (503, "service_unavailable")
    assert response.error["reason"] == "search_unavailable"
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["retry-after"]) > 0
    assert response.headers["x-ratelimit-limit-requests"]
    assert len(engine.bodies) == 1
    nothing_is_left(stack, account)
    (record,) = stack.usage_records(account)
    assert (record["status"], record["http_status"], record["total_tokens"]) == ("failed", 503, 0)
    assert record["cost_nano_usd"] == 0


@pytest.fixture(scope="module")
def impatient(stack: Stack, server: SearchServer) -> AppServer:
    gateway = stack.make_gateway(SEARCH_BACKEND="searxng", SEARCH_URL=server.base_url, SEARCH_BUDGET_S="0.2")
    return stack.serve(gateway.chat_app())


@FACES
def test_a_search_over_its_budget_is_given_up(
    impatient: AppServer, account: OpenedAccount, engine: ScriptedEngine, web: SearchServer, stream: bool
) -> None:
    asker = Asker(impatient.port, account.authorization)
    web.script += ["held", "held"]
    says(engine, YES, "About 300 m.", QUERY)
    assert told(asker, stream=stream, web_search="auto").response.headers["x-search-status"] == "unavailable"
    refused = asker(stream=stream, web_search="force")
    web.released.set()
    assert (refused.status, refused.error["reason"]) == (503, "search_unavailable")


@FACES
def test_the_local_default_is_given_up_where_there_is_no_internet(
    stack: Stack, account: OpenedAccount, engine: ScriptedEngine, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DDGS_PROXY", "http://127.0.0.1:9")  # the discard port: nobody listens
    app = AppServer(stack.make_gateway(SEARCH_BACKEND="ddgs").chat_app())
    asker = Asker(app.port, account.authorization)
    says(engine, YES, "About 300 m.", QUERY)
    answer = told(asker, stream=stream, web_search="auto")
    refused = asker(stream=stream, web_search="force")
    app.stop()
    assert (answer.content, answer.response.headers["x-search-status"]) == ("About 300 m.", "unavailable")
    assert (refused.status, refused.error["reason"]) == (503, "search_unavailable")


@FACES
@pytest.mark.parametrize(("mode", "status", "asked"), [("auto", 200, 1), ("force", 503, 0), ("images", 503, 0)])
def test_a_deployment_without_a_back_end_asks_the_model_nothing_about_searches(
    stack: Stack, account: OpenedAccount, engine: ScriptedEngine, mode: str, status: int, asked: int, stream: bool
) -> None:
    response = Asker(stack.chat.port, account.authorization)(stream=stream, web_search=mode)
    assert (response.status, len(engine.bodies)) == (status, asked)
    if status == 503:
        assert response.error["reason"] == "search_unavailable"
    else:
        assert response.headers["x-search-status"] == "unavailable"


def test_an_engine_that_refuses_what_was_found_is_a_real_status(
    ask: Asker, engine: ScriptedEngine, stack: Stack, account: OpenedAccount
) -> None:
    refusal = {
        "error": {"code": 400, "type": "exceed_context_size_error", "message": "", "n_prompt_tokens": 9, "n_ctx": 8}
    }
    engine.scripts = [
        Script(pieces=whole(QUERY)),
        Script(status=400, content_type="application/json", pieces=[json.dumps(refusal).encode()]),
    ]
    response = ask(stream=True, web_search="force")
    assert (response.status, response.error["reason"]) == (400, "context_length_exceeded")
    nothing_is_left(stack, account)


def test_the_back_ends_key_is_kept_and_one_that_can_not_be_read_fails_the_search(stack: Stack) -> None:
    with borrowed_environment(stack.environment):
        clients = stack.make_gateway().clients
        vault = clients.get("secretsmanager")
    kept = SecretsManagerKey(clients, "search-key")
    fresh = SecretsManagerKey(clients, "search-key", kept_s=0)
    with pytest.raises(SearchFailed):
        kept()
    vault.create_secret(Name="search-key", SecretString="first")
    assert (kept(), fresh()) == ("first", "first")
    vault.put_secret_value(SecretId="search-key", SecretString="second")
    assert (kept(), fresh()) == ("first", "second")


def test_powertools_and_boto3_are_imported_by_the_first_search_that_needs_a_key(stack: Stack) -> None:
    program = (
        "import sys; from gateway.bootstrap.chat import ChatFunction; gateway = ChatFunction.from_environment(); "
        "gateway.chat_app(); assert gateway.search_backend.name == 'brave'; assert 'boto3' not in sys.modules; "
        "gateway.clients.get('secretsmanager').create_secret(Name='k', SecretString='the key'); "
        "key = gateway.search_backend._key; assert key() == 'the key'; assert 'boto3' in sys.modules"
    )
    chosen = {"SEARCH_BACKEND": "brave", "SEARCH_SECRET_ID": "k"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **stack.environment, **chosen},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@FACES
@pytest.mark.parametrize(("mode", "status"), [("auto", 200), ("force", 503), ("images", 503)])
def test_a_back_end_dearer_than_the_budget_is_as_good_as_down(
    stack: Stack, account: OpenedAccount, engine: ScriptedEngine, mode: str, status: int, stream: bool
) -> None:
    with search_server(Brave()) as server:
        gateway = stack.make_gateway(SEARCH_BUDGET_USD="0.004")
        price = float(gateway.catalogue.search_prices_usd["brave"])
        gateway.search_backend = BraveSearch(lambda: KEY, usd_per_request=price, budget_s=5, base_url=server.base_url)
        app = AppServer(gateway.chat_app())
        response = Asker(app.port, account.authorization)(stream=stream, web_search=mode)
        app.stop()
    assert (response.status, server.asked) == (status, [])
    if status == 503:
        assert response.error["reason"] == "search_unavailable"
        nothing_is_left(stack, account)
    else:
        assert response.headers["x-search-status"] == "unavailable"
