"""A client that asks once, and may leave at any moment."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

PATIENCE_S = 90
CHAT = "/v1/chat/completions"


@dataclass
class Answer:
    """What a client was told: `status` 0 where nothing came; `whole` where the answer came to its own end."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False

    @property
    def events(self) -> list[Any]:
        """The events of a stream, `[DONE]` left out."""
        lines = [line.removeprefix("data: ") for line in self.body.decode().split("\n\n") if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]

    @property
    def error(self) -> dict[str, Any] | None:
        """The error that was told, as a status or inside a stream."""
        if self.status != 200:
            error: dict[str, Any] | None = json.loads(self.body).get("error") if self.body else None
            return error
        if self.body.startswith(b"data: "):
            return next((event["error"] for event in self.events if "error" in event), None)
        return None

    @property
    def told_tokens(self) -> int | None:
        """The usage that a whole answer told."""
        if not self.whole or self.status != 200:
            return None
        found = self.events if self.body.startswith(b"data: ") else [json.loads(self.body)]
        usage = next((event["usage"] for event in reversed(found) if event.get("usage")), None)
        return usage["total_tokens"] if usage else None


class Client:
    """One request on a connection of its own."""

    def __init__(self, port: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self._headers = {"Content-Type": "application/json", **headers}
        self._body = json.dumps(body)
        self.answer = Answer()
        self.left = False

    def ask(self) -> Answer:
        """The answer, or what came of it."""
        answer = self.answer
        try:
            self._connection.connect()
            self._socket = self._connection.sock
            self._connection.request("POST", CHAT, self._body, self._headers)
            response = self._connection.getresponse()
            answer.status = response.status
            answer.headers = {name.lower(): value for name, value in response.getheaders()}
            while piece := response.read1():
                answer.body += piece
            answer.whole = answer.status != 200 or not _is_stream(answer) or answer.body.endswith(b"data: [DONE]\n\n")
        except (HTTPException, OSError):
            pass
        finally:
            self._connection.close()
        return answer

    def leave(self) -> None:
        """Goes away."""
        self.left = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


def _is_stream(answer: Answer) -> bool:
    return answer.headers.get("content-type", "").startswith("text/event-stream")
