"""HTTP/1.1 by hand on a blocking socket: what was written is seen as it was written, chunk by chunk."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 120
_READ_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object."""
        error: dict[str, Any] = self.json()["error"]
        return error


class Connection:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def send(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Writes a request; its length is told unless the caller tells something else."""
        told = {name.lower() for name in headers}
        framing = {} if {"transfer-encoding", "content-length"} & told else {"Content-Length": str(len(body))}
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in {**headers, **framing}.items()]
        self.send_raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def send_raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read_head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = (line.split(": ", 1) for line in lines[1:])
        return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in fields}

    def read_chunk(self) -> bytes:
        """The next chunk of a chunked body, as the server wrote it; empty at its end."""
        size = int(self._until(b"\r\n"), 16)
        data = self._exactly(size)
        assert self._exactly(2) == b"\r\n"
        return data

    def read_chunks(self) -> list[bytes]:
        """All chunks that are left."""
        chunks = []
        while chunk := self.read_chunk():
            chunks.append(chunk)
        return chunks

    def read_response(self) -> Response:
        """The next answer, whole."""
        status, headers = self.read_head()
        if headers.get("transfer-encoding") == "chunked":
            return Response(status, headers, b"".join(self.read_chunks()))
        return Response(status, headers, self._exactly(int(headers.get("content-length", "0"))))

    def at_end(self) -> bool:
        """Whether the server closed the connection with nothing more to say."""
        return not self._buffer and not self._socket.recv(1)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _until(self, mark: bytes) -> bytes:
        while (at := self._buffer.find(mark)) < 0:
            self._fill()
        data = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return data

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _fill(self) -> None:
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        self._buffer += data


def request(
    port: int, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: Any = None
) -> Response:
    """One request on a connection of its own; a body that is not bytes goes as JSON."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    with Connection(port) as connection:
        connection.send(method, path, headers={"Content-Type": "application/json", **(headers or {})}, body=data)
        return connection.read_response()
