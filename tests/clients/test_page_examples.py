"""Every example of the public page, verbatim but for the base URL and the key.

The page names Gemma, whose weights are gigabytes: this stack serves the small local model's file under Gemma's id.
That proves the wiring of the examples and nothing of Gemma; the product never serves one model under another's name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import requests
import studiolm  # type: ignore[import-untyped]  # the published package has no types
from gateway.domain.keys import format_key

from tests.clients import page_examples
from tests.support.local_stack import LocalStack, bearer, model_file
from tests.support.ports import free_port
from tests.support.search_servers import IMAGES, PAGES, Searxng, search_server

KEY = format_key(account_id="pageaccount1", key_id="pagekey1", secret="OnlyForThePageExamplesOnLoopback")
QUICK, STREAM, WEB_SEARCH, JSON_MODE = range(4)
CURL_QUICK, CURL_STREAM = range(2)
_PROLOGUE = 'import studiolm\nclient = studiolm.Client(api_key="sk-...")\n'
_EPILOGUE = "\nimport json\nprint(json.dumps(response))\n"
_LONGEST_S = 240
_SLOTS = 4
"""More at once would stand in line, and an answer of a thousand tokens outlasts the line's patience."""


# Three answers of up to a thousand tokens each, where others want the cores too.
pytestmark = pytest.mark.timeout(300)

Runs = dict[str, "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def page_stack() -> Iterator[LocalStack]:
    """A stack with every setting that README names, and a search back end on loopback."""
    with search_server(Searxng()) as search:
        settings = {
            "PORT": str(free_port()),
            "API_KEY": KEY,
            "MODEL_PATHS": ",".join(f"{id_}={model_file()}" for id_ in ("gemma-3-12b-it-qat", "gemma-3-27b-it-qat")),
            "SEARCH_BACKEND": "searxng",
            "SEARCH_URL": search.base_url,
        }
        running = LocalStack.start(settings)
        try:
            assert running.base_url.endswith(f":{settings['PORT']}")
            yield running
        finally:
            running.stop()


def _run_python(code: str, stack: LocalStack) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "STUDIOLM_BASE_URL": stack.base_url, "NO_PROXY": "127.0.0.1"}
    code = code.replace(page_examples.PAGE_KEY, stack.api_key)
    return _run([sys.executable, "-c", code], environment)


def _run_curl(command: str, stack: LocalStack) -> subprocess.CompletedProcess[str]:
    assert shutil.which("curl"), "curl is needed for the page's examples"
    command = command.replace(page_examples.PAGE_URL, stack.base_url).replace(page_examples.PAGE_KEY, stack.api_key)
    return _run(["/bin/sh", "-c", command], {**os.environ, "NO_PROXY": "127.0.0.1"})


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", timeout=_LONGEST_S, check=False
    )


@pytest.fixture(scope="module")
def runs(page_stack: LocalStack) -> Runs:
    """All generating examples, side by side: an answer may take a thousand tokens."""
    python, curl = page_examples.python_examples(), page_examples.curl_examples()
    with ThreadPoolExecutor(_SLOTS) as pool:
        futures = {
            "quick": pool.submit(_run_python, python[QUICK] + _EPILOGUE, page_stack),
            "stream": pool.submit(_run_python, _PROLOGUE + python[STREAM], page_stack),
            "json": pool.submit(_run_python, _PROLOGUE + python[JSON_MODE] + _EPILOGUE, page_stack),
            "search": pool.submit(_run_python, _PROLOGUE + python[WEB_SEARCH] + _EPILOGUE, page_stack),
            "curl quick": pool.submit(_run_curl, curl[CURL_QUICK], page_stack),
            "curl stream": pool.submit(_run_curl, curl[CURL_STREAM], page_stack),
        }
        return {name: future.result() for name, future in futures.items()}


def test_the_page_has_the_examples_that_are_run_here() -> None:
    assert len(page_examples.python_examples()) == 4
    assert len(page_examples.curl_examples()) == 2


def test_the_quick_example_prints_the_answer_and_its_response_has_the_pages_fields(runs: Runs) -> None:
    run = runs["quick"]
    assert run.returncode == 0, run.stderr
    *printed, dumped = run.stdout.splitlines()
    response = json.loads(dumped)

    assert "\n".join(printed) == response["choices"][0]["message"]["content"].rstrip("\n") != ""
    _has_the_shape_of(response, json.loads(page_examples.response_example()))
    assert response["object"] == "chat.completion"
    assert response["id"].startswith("chatcmpl-")
    assert response["model"] == "gemma-3-12b-it-qat"


def test_the_streaming_example_prints_a_joke(runs: Runs) -> None:
    run = runs["stream"]

    assert run.returncode == 0, run.stderr
    assert len(run.stdout.split()) > 1
    assert "None" not in run.stdout.split()


def test_the_json_example_answers_json(runs: Runs) -> None:
    run = runs["json"]

    assert run.returncode == 0, run.stderr
    content = json.loads(run.stdout)["choices"][0]["message"]["content"]
    assert isinstance(json.loads(content), dict | list)


def test_the_curl_example_answers_with_the_pages_fields(runs: Runs) -> None:
    response = json.loads(runs["curl quick"].stdout)

    _has_the_shape_of(response, json.loads(page_examples.response_example()))
    assert response["choices"][0]["message"]["content"]


def test_the_streaming_curl_example_prints_events_like_the_pages(runs: Runs) -> None:
    lines = runs["curl stream"].stdout.split("\n")
    event, done = page_examples.stream_example()

    data = [line for line in lines if line.startswith("data: ")]
    assert data[-1] == done
    assert set(lines) - set(data) - {line for line in lines if line.startswith(": ")} == {""}
    chunks = [json.loads(line[len("data: ") :]) for line in data[:-1]]
    with_text = [chunk for chunk in chunks if chunk["choices"][0]["delta"].get("content")]
    for chunk in with_text:
        _has_the_shape_of(chunk, json.loads(event[len("data: ") :]))


def test_the_web_search_example_answers(runs: Runs) -> None:
    run = runs["search"]

    assert run.returncode == 0, run.stderr
    response = json.loads(run.stdout)
    _has_the_shape_of(response, json.loads(page_examples.response_example()))
    assert response["model"] == "gemma-3-27b-it-qat"


@pytest.mark.parametrize("mode", ["force", "images"])
def test_the_pages_other_search_modes_answer_with_what_the_back_end_found(page_stack: LocalStack, mode: str) -> None:
    with studiolm.Client(api_key=KEY, base_url=page_stack.base_url) as client:
        answer = client.chat.completions.create(
            "gemma-3-12b-it-qat", [{"role": "user", "content": "The Eiffel Tower"}], web_search=mode, max_tokens=60
        )

    found = {page.url for page in PAGES} if mode == "force" else {image.image for image in IMAGES}
    shown = answer["search_results"] if mode == "force" else answer["images"]
    assert {result["url"] for result in shown} <= found
    assert shown
    assert answer["usage"]["server_tool_use_details"]["web_search_requests"] >= 1


def test_a_requests_loop_over_the_data_lines_sees_the_whole_answer(page_stack: LocalStack) -> None:
    body: dict[str, Any] = {
        "model": "gemma-3-12b-it-qat",
        "messages": [{"role": "user", "content": "Tell me a joke"}],
        "max_tokens": 40,
        "temperature": 0,
    }
    url = f"{page_stack.base_url}/v1/chat/completions"
    whole = requests.post(url, json=body, headers=bearer(KEY), timeout=60)
    texts: list[str] = []
    with requests.post(url, json={**body, "stream": True}, headers=bearer(KEY), stream=True, timeout=60) as answer:
        for raw in answer.iter_lines():
            line = raw.decode("utf-8")
            if not line.startswith("data: "):
                continue
            if line == "data: [DONE]":
                break
            texts.append(json.loads(line[6:])["choices"][0]["delta"].get("content", ""))
        else:
            pytest.fail("the stream ended without [DONE]")

    assert "".join(texts) == whole.json()["choices"][0]["message"]["content"]
    assert len(texts) > 10


def test_the_api_document_gives_the_pages_parameters_with_the_pages_defaults(page_stack: LocalStack) -> None:
    document = httpx.get(f"{page_stack.base_url}/openapi.json").json()
    schema = document["components"]["schemas"]["ChatRequest"]

    for name, default in page_examples.parameters().items():
        assert name in schema["properties"]
        if default == "required":
            assert name in schema["required"]
        elif name != "response_format":  # the page gives it no default
            assert schema["properties"][name]["default"] == json.loads(default)


def test_a_key_that_was_given_is_the_only_one_that_opens(page_stack: LocalStack) -> None:
    assert page_stack.api_key == KEY
    models = f"{page_stack.base_url}/v1/models"
    assert httpx.get(models, headers=bearer(KEY)).status_code == 200
    other = format_key(account_id="localaccount", key_id="localkey", secret="DoNotUseThisKeyOutsideOfLocalRun")
    assert httpx.get(models, headers=bearer(other)).status_code == 401


def _has_the_shape_of(value: object, example: object) -> None:
    """Every field of the example is there, with a value of its type."""
    assert type(value) is type(example)
    if isinstance(example, dict):
        assert isinstance(value, dict)
        for name, part in example.items():
            assert name in value
            _has_the_shape_of(value[name], part)
    elif isinstance(example, list):
        assert isinstance(value, list)
        assert value
        for part in value:
            _has_the_shape_of(part, example[0])
