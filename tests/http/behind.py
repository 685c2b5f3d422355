"""The account application as its clients call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.support.http_client import Response, request
from tests.support.stack import OpenedAccount, Stack


@dataclass(frozen=True, slots=True)
class Clerk:
    """A client with an account's key."""

    stack: Stack
    account: OpenedAccount

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """The answer to a request."""
        told = {**self.account.authorization, **headers}
        return request(self.stack.account.port, method, path, headers=told, body=body)

    def upload(self, data: bytes, *, purpose: str | None = "batch", name: str = "file") -> Response:
        """The answer to a form with this file."""
        boundary = uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="in.jsonl"\r\n'
            f"Content-Type: application/octet-stream\r\n\r\n".encode()
            + data
        ]
        if purpose is not None:
            field = f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}'
            parts.insert(0, field.encode())
        body = b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()])
        return self("POST", "/v1/files", body, **{"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def file_id(self, data: bytes) -> str:
        """The id of a new file."""
        id_: str = self.upload(data).json()["id"]
        return id_
