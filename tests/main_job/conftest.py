"""One real stack for the main job, and ways to ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest

from infra.local.credentials import CREDENTIALS, REGION
from tests.support.local_stack import MODEL, LocalStack, bearer, stack

__all__ = ["stack"]


class Asker:
    """One account's HTTP client: an answer whole, or as the events of a stream."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def post(self, **fields: Any) -> httpx.Response:
        """The answer to a chat request, whatever its status."""
        return self._http.post("/v1/chat/completions", json={"model": MODEL, **fields})

    def whole(self, **fields: Any) -> dict[str, Any]:
        """The body of a good answer."""
        answer = self.post(**fields)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def stream(self, **fields: Any) -> list[dict[str, Any]]:
        """The chunks of a good stream, which ended with `[DONE]`."""
        body = {"model": MODEL, "stream": True, **fields}
        with self._http.stream("POST", "/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200, answer.read()
            data = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
        assert data[-1] == "[DONE]"
        return [json.loads(event) for event in data[:-1]]

    def usage(self) -> dict[str, Any]:
        """GET /v1/usage."""
        report: dict[str, Any] = self._http.get("/v1/usage").raise_for_status().json()
        return report

    def complete(self, **fields: Any) -> dict[str, Any]:
        """POST /v1/completions."""
        body: dict[str, Any] = (
            self._http.post("/v1/completions", json={"model": MODEL, **fields}).raise_for_status().json()
        )
        return body


@pytest.fixture
def asker(stack: LocalStack) -> Iterator[Asker]:
    """Asks with the stack's own key."""
    with httpx.Client(base_url=stack.base_url, headers=stack.headers, timeout=90) as http:
        yield Asker(http)


@pytest.fixture
def newcomer(stack: LocalStack) -> Iterator[Asker]:
    """Asks with the key of an account that has never asked."""
    key = stack.open_account(plan="pro")
    with httpx.Client(base_url=stack.base_url, headers=bearer(key), timeout=90) as http:
        yield Asker(http)


@pytest.fixture
def account_key(stack: LocalStack) -> str:
    """The key of a new account."""
    return stack.open_account(plan="pro")


@pytest.fixture
def aws(stack: LocalStack) -> Iterator[Any]:
    """Makes boto3 clients of the printed endpoint."""
    session = boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
    made: list[Any] = []

    def client_of(service: str) -> Any:
        made.append(session.client(service, endpoint_url=stack.aws_endpoint_url))
        return made[-1]

    yield client_of
    for client in made:
        client.close()
