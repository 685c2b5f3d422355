"""Applications whose AWS calls are seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from gateway.bootstrap import Gateway

from tests.http.asking import CHAT, COMPLETIONS, chat_body
from tests.support.http_client import Response, request
from tests.support.stack import MODEL, AppServer, Stack


@dataclass(frozen=True, slots=True)
class Door:
    """Both applications on gateways of their own, as a client sees them: one address."""

    gateways: tuple[Gateway, Gateway]
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


@pytest.fixture(scope="package")
def door(stack: Stack) -> Iterator[Door]:
    chat, account = stack.make_gateway(), stack.make_gateway(**stack.functions["AccountFunction"].environment)
    servers = AppServer(chat.chat_app()), AppServer(account.account_app())
    document = request(servers[1].port, "GET", "/openapi.json").json()
    yield Door((chat, account), *servers, document)
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
