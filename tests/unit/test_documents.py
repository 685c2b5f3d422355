"""The documents name everything that exists (README.md and docs/*.md), and the API's document is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from gateway.catalogue import load_catalogue
from gateway.cli.main import app as admin
from gateway.config import Settings
from gateway.domain.chat import ChatRequest, CompletionRequest
from gateway.domain.errors import Reason
from gateway.entrypoints.http.openapi import describe_api
from starlette.applications import Starlette
from starlette.routing import Route
from typer.main import get_command

from tests.support.gateway import Gateway

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
TEXT = "\n".join(PAGES.values())
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
UNDESCRIBED = {("GET", "/openapi.json"), ("GET", "/docs")}
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def named(name: str, text: str = TEXT) -> bool:
    """Whether `text` has `name` as a whole word in code."""
    return re.search(rf"`[^`\n]*(?<![\w-]){re.escape(name)}(?![\w-])[^`\n]*`", text) is not None


def served_routes() -> set[tuple[str, str]]:
    """Method and path of every route that the two applications serve."""
    gateway = Gateway(Settings(table_name="table", outbox_queue_url="queue", stack_name="stack"))
    routes = set()
    for asgi in (gateway.chat_app(), gateway.account_app()):
        assert isinstance(asgi.app, Starlette)
        for route in asgi.app.routes:
            assert isinstance(route, Route)
            routes |= {(method, route.path) for method in (route.methods or set()) - {"HEAD"}}
    return routes


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
def test_every_setting_is_in_the_documents(name: str) -> None:
    assert named(name)


def test_every_route_is_in_the_documents() -> None:
    rows = "\n".join(line for line in PAGES["api.md"].splitlines() if line.startswith("| "))
    assert [f"{method} {path}" for method, path in served_routes() if f"{method} `{path}`" not in rows] == []


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_error_reason_is_in_the_documents(reason: str) -> None:
    assert named(reason, PAGES["api.md"])


@pytest.mark.parametrize("target", re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.M))
def test_every_make_target_is_in_the_documents(target: str) -> None:
    assert named(f"make {target}") or target == "help"


@pytest.mark.parametrize("name", [*load_catalogue().plans, *load_catalogue().models])
def test_every_plan_and_model_is_in_the_documents(name: str) -> None:
    assert named(name, PAGES["api.md"])


@pytest.mark.parametrize("field", sorted(ChatRequest.model_fields.keys() | CompletionRequest.model_fields.keys()))
def test_every_field_of_a_request_is_in_the_documents(field: str) -> None:
    assert named(field, PAGES["api.md"])


def test_the_plans_and_models_have_in_the_documents_the_numbers_that_they_have() -> None:
    rows = [re.sub(r"[`$]", "", line).split(" | ") for line in PAGES["api.md"].splitlines() if line.startswith("| `")]
    cells = {row[0].removeprefix("| "): [cell.removesuffix(" |") for cell in row[1:]] for row in rows}
    for plan in load_catalogue().plans.values():
        keys, tokens, _, open_requests, per_minute = cells[plan.id]
        numbers = (plan.max_keys, plan.daily_tokens, plan.max_open_requests, plan.requests_per_minute)
        assert (keys, tokens, open_requests, per_minute) == tuple(f"{number:,}" for number in numbers)
    for model in load_catalogue().models.values():
        sees = "yes" if model.vision else "no"
        assert cells[model.id] == [f"{model.context_tokens:,}", f"{model.max_completion_tokens:,}", sees]


def test_every_command_of_the_operator_is_in_the_documents() -> None:
    group = get_command(admin)
    commands = [
        name if not hasattr(command, "commands") else f"{name} {inner}"
        for name, command in vars(group)["commands"].items()
        for inner in (vars(command).get("commands") or [""])
    ]
    assert len(commands) == len(set(commands)) > 10
    assert [command for command in commands if f"`{command}" not in PAGES["admin.md"]] == []


def test_every_example_event_has_its_place_among_sources_and_cases() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGES["events.md"].splitlines() if line.startswith("| ")]
    cases, *sources = rows[0], *rows[2:]
    assert cases[1:] == ["good", "bad", "duplicate", "partial"]
    named_files: list[str] = []
    for source, *cells in sources:
        assert len(cells) == 4, source
        for case, cell in zip(cases[1:], cells, strict=True):
            names = re.findall(r"`([^`]+)`", cell)
            assert names or (case != "good" and len(cell.split()) > 3), f"{source}: {case} needs a file or a reason"
            named_files += names
    assert sorted(named_files) == sorted(path.stem for path in (ROOT / "events").glob("*.json"))


def test_the_document_of_the_api_has_exactly_the_routes_that_are_served() -> None:
    described = {
        (method.upper(), path)
        for path, item in describe_api()["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert served_routes() == described | UNDESCRIBED


@pytest.mark.parametrize("name", sorted(PAGES))
def test_links_between_documents_lead_somewhere(name: str) -> None:
    folder = ROOT if name == "README.md" else ROOT / "docs"
    assert [link for link in _LINK.findall(PAGES[name]) if not (folder / link).exists()] == []


THREATS = [line.split(" | ") for line in PAGES["threat-model.md"].splitlines() if line.startswith("| ")]
NAMED_TESTS = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGES["threat-model.md"])


@pytest.mark.parametrize(("file", "name"), NAMED_TESTS)
def test_every_test_that_the_threat_model_names_is_there(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / file).read_text("utf-8"), re.M)


def test_every_attack_of_the_threat_model_has_a_test_or_is_said_to_be_undefended() -> None:
    rows = [row for row in THREATS if row[0] not in ("| attack", "| ---")]
    assert len(rows) > 35
    assert [row[0] for row in rows if "::" not in row[2] and not row[1].startswith("not defended")] == []


def test_decisions_have_each_a_number_of_its_own_and_a_status() -> None:
    assert len({path.name[:4] for path in DECISIONS}) == len(DECISIONS) >= 9
    for path in DECISIONS:
        text = path.read_text("utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. ")
        assert "\nStatus: " in text
