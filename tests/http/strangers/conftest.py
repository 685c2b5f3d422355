"""Applications whose AWS calls are seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.http.asking import CHAT, COMPLETIONS, chat_body
from tests.support.http_client import Response, request
from tests.support.stack import MODEL, AppServer, Stack
from tests.support.wire_tap import Tap, tapped


@dataclass(frozen=True, slots=True)
class Door:
    """Both applications on gateways of their own, as a client sees them: one address. Their wires to AWS are tapped."""

    aws: Tap
    sagemaker: Tap
    chat: AppServer
    account: AppServer
    document: dict[str, Any]

    def __call__(self, method: str, path: str, key: str | None, body: Any = None, **headers: str) -> Response:
        """The answer to a request with this key, or with none."""
        told = {"Authorization": f"Bearer {key}"} if key is not None else {}
        server = self.chat if path in (CHAT, COMPLETIONS) else self.account
        return request(server.port, method, path, headers={**told, **headers}, body=body)

    def operations(self) -> list[tuple[str, str]]:
        """Method and path of everything that the document describes."""
        return [
            (method.upper(), path)
            for path, item in self.document["paths"].items()
            for method in item
            if method != "parameters"
        ]

    def cost(self) -> list[str]:
        """The AWS operations since the last look."""
        operations = [sent.operation for tap in (self.aws, self.sagemaker) for sent in tap.sent()]
        self.aws.forget()
        self.sagemaker.forget()
        return operations


@pytest.fixture(scope="package")
def door(stack: Stack) -> Iterator[Door]:
    with ExitStack() as open_taps:
        aws = open_taps.enter_context(tapped(stack.environment["AWS_ENDPOINT_URL"]))
        sagemaker = open_taps.enter_context(tapped(stack.environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]))
        tapping = {"AWS_ENDPOINT_URL": aws.url, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": sagemaker.url}
        variables = {**stack.functions["AccountFunction"].environment, **tapping}
        chat, account = stack.make_gateway(**tapping), stack.make_gateway(**variables)
        servers = AppServer(chat.chat_app()), AppServer(account.account_app())
        document = request(servers[1].port, "GET", "/openapi.json").json()
        yield Door(aws, sagemaker, *servers, document)
        for server in servers:
            server.stop()


GOOD_BODIES: dict[tuple[str, str], Any] = {
    ("POST", CHAT): chat_body(),
    ("POST", COMPLETIONS): {"model": MODEL, "prompt": "hi"},
    ("POST", "/v1/keys"): {"name": "another"},
    ("POST", "/v1/jobs"): chat_body(),
    ("POST", "/v1/files"): {"filename": "a.jsonl", "purpose": "batch"},
    ("POST", "/v1/batches"): {
        "input_file_id": "file-none",
        "endpoint": CHAT,
        "completion_window": "24h",
    },
}
"""A body that its route would take from a good key."""
