"""Every other function as deployed: its handler under AWS's runtime client and emulator, on every example event."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.deployed.environment import ROOT, EmulatedFunction, variables_of
from tests.deployed.events import FUNCTIONS_BY_PREFIX, function_of, read_event
from tests.infra.transformed import resources, source
from tests.support.stack import Stack

EVENTS = sorted(path.stem for path in (ROOT / "events").glob("*.json"))
HANDLERS = {
    name: properties["CodeUri"]
    for name, properties in resources(source("template.yaml"), "AWS::Serverless::Function").items()
    if properties["Handler"] == "handler.handler"
}


@pytest.fixture(scope="module")
def emulated(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], EmulatedFunction]]:
    """Starts a function once, when it is first wanted."""
    running: dict[str, EmulatedFunction] = {}

    def start(name: str) -> EmulatedFunction:
        if name not in running:
            folder, variables = ROOT / HANDLERS[name], variables_of(stack, name)
            running[name] = EmulatedFunction(folder, variables, state=tmp_path_factory.mktemp(name))
        return running[name]

    yield start
    for function in running.values():
        function.stop()


@pytest.mark.parametrize("event", [event for event in EVENTS if function_of(event) in HANDLERS])
def test_a_function_answers_its_example_events(event: str, emulated: Callable[[str], EmulatedFunction]) -> None:
    answer = emulated(function_of(event)).invoke(read_event(event))
    assert "errorMessage" not in (answer or {}), answer
    if event.startswith("apigw_"):
        assert 200 <= answer["statusCode"] < 500
        assert not answer["body"] or answer["headers"]["x-request-id"]
    elif event.startswith("sqs_"):
        known = {record["messageId"] for record in read_event(event)["Records"]}
        assert {failure["itemIdentifier"] for failure in answer["batchItemFailures"]} <= known


def test_every_function_has_an_example_event() -> None:
    functions = resources(source("template.yaml"), "AWS::Serverless::Function")
    assert {function_of(event) for event in EVENTS} == set(functions)
    assert set(FUNCTIONS_BY_PREFIX.values()) == set(functions)


def test_the_built_layers_hold_every_import_of_the_functions(emulated: Callable[[str], EmulatedFunction]) -> None:
    health: dict[str, Any] = read_event("apigw_chat") | {"httpMethod": "GET", "path": "/health", "body": None}
    answer = emulated("AccountFunction").invoke(health)
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"status": "ok"})
