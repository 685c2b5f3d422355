"""The document at /openapi.json is true: every route is in it, and every answer is as it says."""

from __future__ import annotations

import re
from html import escape
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.routing import Route

from tests.http.asking import CHAT, COMPLETIONS, MESSAGES, Asker
from tests.support.engine_pieces import text_piece, whole
from tests.support.http_client import Response, request
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.sse_reader import DONE, read_events
from tests.support.stack import MODEL, MODEL_NOT_SERVED, OpenedAccount, Stack

METHODS = ("get", "post", "put", "patch", "delete")
NOT_DOCUMENTED = {
    ("get", "/openapi.json"), ("get", "/docs"), ("post", "/snapstart/before"), ("post", "/snapstart/after")
}  # fmt: skip
"""The document and its page, and what the Web Adapter alone can ask: API Gateway has no route to it."""


@pytest.fixture(scope="module")
def document(stack: Stack) -> dict[str, Any]:
    response = request(stack.account.port, "GET", "/openapi.json")
    assert response.status == 200
    document: dict[str, Any] = response.json()
    return document


def served_routes(stack: Stack) -> set[tuple[str, str]]:
    """Method and path of every route of both applications."""
    gateway = stack.make_gateway()
    apps = [gateway.chat_app().app, gateway.account_app().app]
    return {
        (method.lower(), route.path)
        for app in apps
        if isinstance(app, Starlette)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def assert_documented(document: dict[str, Any], method: str, path: str, response: Response) -> None:
    """The status is one that the operation names, and the body fits that status's schema."""
    answers = operations(document)[method, path]["responses"]
    assert str(response.status) in answers, (response.status, response.body)
    schema = answers[str(response.status)]["content"]["application/json"]["schema"]
    validate(document, schema, response.json())


def validate(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def test_every_route_is_documented_and_every_documented_route_is_there(stack: Stack, document: dict[str, Any]) -> None:
    assert served_routes(stack) - NOT_DOCUMENTED == set(operations(document))


def test_the_document_is_openapi_3_1_with_schemas_that_are_schemas(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"]
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(ids)) == len(ids)
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', str(document).replace("'", '"')))
    assert references <= set(document["components"]["schemas"])


def test_every_path_parameter_is_described(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        named = set(re.findall(r"{(\w+)}", path))
        for method in METHODS & item.keys():
            parameters = [*item.get("parameters", []), *item[method].get("parameters", [])]
            assert named == {entry["name"] for entry in parameters if entry["in"] == "path"}, path


def test_every_operation_but_health_asks_for_the_key(stack: Stack, document: dict[str, Any]) -> None:
    assert document["security"] == [{"key": []}]
    for (method, path), operation in operations(document).items():
        port = stack.chat.port if path in (CHAT, COMPLETIONS) else stack.account.port
        response = request(port, method.upper(), path.replace("{id}", "some-id"))
        if operation.get("security") == []:
            assert response.status == 200
        else:
            assert response.status == 401, path
            assert_documented(document, method, path, response)


def test_generation_answers_as_documented(
    document: dict[str, Any], stack: Stack, ask: Asker, engine: ScriptedEngine
) -> None:
    answers = [
        ask(),
        ask(n=2),
        ask(temperature=9),
        ask(model="none"),
        ask(model=MODEL_NOT_SERVED),
        ask.raw(b"{"),
        request(stack.chat.port, "POST", CHAT),
    ]
    assert [answer.status for answer in answers] == [200, 200, 400, 404, 503, 400, 401]
    for answer in answers:
        assert_documented(document, "post", CHAT, answer)
    text = ask(path=COMPLETIONS, prompt=["a", "b"], messages=None)
    assert text.status == 200
    assert_documented(document, "post", COMPLETIONS, text)


def test_a_tool_call_answers_as_documented(document: dict[str, Any], ask: Asker, engine: ScriptedEngine) -> None:
    call = '{"tool_calls":[{"name":"look","arguments":{"at":"it"}}]}'
    engine.scripts = [Script(pieces=[text_piece(call), *whole("")[1:]])]
    parameters = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
    tools = [{"type": "function", "function": {"name": "look", "parameters": parameters}}]
    answer = ask(tools=tools)
    assert_documented(document, "post", CHAT, answer)


@pytest.mark.parametrize("include_usage", [True, False])
def test_the_chunks_of_a_stream_are_as_documented(
    document: dict[str, Any], ask: Asker, engine: ScriptedEngine, include_usage: bool
) -> None:
    content = operations(document)["post", CHAT]["responses"]["200"]["content"]["text/event-stream"]
    events = read_events(ask.stream(stream_options={"include_usage": include_usage})[1])
    for event in events:
        if event != DONE:
            validate(document, content["itemSchema"], event)


def test_the_account_routes_answer_as_documented(
    document: dict[str, Any], stack: Stack, account: OpenedAccount, ask: Asker, engine: ScriptedEngine
) -> None:
    assert ask().status == 200

    def call(method: str, path: str, id_: str = "", body: Any = None) -> Response:
        filled = path.replace("{id}", id_)
        response = request(stack.account.port, method.upper(), filled, headers=account.authorization, body=body)
        assert_documented(document, method, path, response)
        return response

    assert call("get", "/health").status == 200
    assert call("get", "/v1/models").status == 200
    assert call("get", "/v1/models/{id}", MODEL).status == 200
    assert call("get", "/v1/models/{id}", "none").status == 404
    assert call("get", "/v1/usage").status == 200
    made = call("post", "/v1/keys", body={"name": "a"})
    assert made.status == 201
    id_ = made.json()["id"]
    assert call("post", "/v1/keys", body={"name": 1}).status == 400
    assert call("post", "/v1/keys", body={}).status == 403
    assert call("post", "/v1/keys", body={"name": "x" * 20_000}).status == 413
    assert call("get", "/v1/keys").status == 200
    assert call("get", "/v1/keys/{id}", id_).status == 200
    assert call("post", "/v1/keys/{id}/disable", id_).status == 200
    assert call("post", "/v1/keys/{id}/enable", id_).status == 200
    assert call("delete", "/v1/keys/{id}", id_).status == 200
    assert call("delete", "/v1/keys/{id}", id_).status == 404


REQUESTS = [
    ({"model": MODEL, "messages": MESSAGES}, True),
    ({"model": MODEL, "messages": MESSAGES, "stop": "x", "n": 2, "stream": False, "extra": [1]}, True),
    ({"model": MODEL, "messages": MESSAGES, "stop": ["x", "y"], "seed": 1, "logit_bias": {"5": 1.5}}, True),
    ({"model": MODEL}, False),
    ({"messages": MESSAGES}, False),
    ({"model": MODEL, "messages": []}, False),
    ({"model": MODEL, "messages": MESSAGES, "temperature": 3}, False),
    ({"model": MODEL, "messages": MESSAGES, "max_tokens": 0}, False),
    ({"model": MODEL, "messages": MESSAGES, "top_p": "1"}, False),
]


@pytest.mark.parametrize(("body", "good"), REQUESTS)
def test_the_request_s_schema_takes_what_the_server_takes(
    document: dict[str, Any], ask: Asker, engine: ScriptedEngine, body: dict[str, Any], good: bool
) -> None:
    schema = operations(document)["post", CHAT]["requestBody"]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**schema, "components": document["components"]})
    response = request(ask.port, "POST", CHAT, headers=ask.headers, body=body)
    assert validator.is_valid(body) is good
    assert (response.status == 200) is good


def test_the_page_shows_every_operation_and_needs_nothing_from_elsewhere(
    stack: Stack, document: dict[str, Any]
) -> None:
    response = request(stack.account.port, "GET", "/docs")
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/html")
    page = response.body.decode()
    for (_, path), operation in operations(document).items():
        assert f'id="{operation["operationId"]}"' in page
        assert path in page
    for field in document["components"]["schemas"]["ChatRequest"]["properties"].values():
        assert escape(field.get("description", "")) in page
    assert ">any<" not in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
