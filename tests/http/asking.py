"""Requests as tests write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.http_client import Connection, Response, request
from tests.support.stack import MODEL

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
MESSAGES = [{"role": "user", "content": "hi"}]


def chat_body(**fields: Any) -> dict[str, Any]:
    """A chat request that is good unless `fields` spoil it."""
    return {"model": MODEL, "messages": MESSAGES, **fields}


@dataclass(frozen=True, slots=True)
class Asker:
    """A client with a key."""

    port: int
    headers: Mapping[str, str]

    def __call__(self, *, path: str = CHAT, headers: Mapping[str, str] | None = None, **fields: Any) -> Response:
        """A whole answer to a good request with these fields changed."""
        return request(self.port, "POST", path, headers={**self.headers, **(headers or {})}, body=chat_body(**fields))

    def raw(self, body: bytes, *, headers: Mapping[str, str] | None = None, path: str = CHAT) -> Response:
        """The answer to a body as it is."""
        return request(self.port, "POST", path, headers={**self.headers, **(headers or {})}, body=body)

    def stream(self, **fields: Any) -> tuple[Response, list[bytes]]:
        """Head and chunks of a stream, read to its end."""
        with self.open_stream(**fields) as connection:
            status, headers = connection.read_head()
            if headers.get("transfer-encoding") != "chunked":
                return Response(status, headers, b""), []
            chunks = connection.read_chunks()
            return Response(status, headers, b"".join(chunks)), chunks

    def open_stream(self, *, path: str = CHAT, **fields: Any) -> Connection:
        """A connection with a streaming request written to it and nothing read."""
        body = json.dumps(chat_body(**{"stream": True, **fields})).encode()
        connection = Connection(self.port)
        connection.send("POST", path, headers={**self.headers, "Content-Type": "application/json"}, body=body)
        return connection
