"""A tap on the wire to AWS: all that a gateway sends passes through, and is kept as it was sent."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_TARGET = re.compile(rb"(?im)^x-amz-target: *(\w+?)(?:_\w+)?\.(\w+)")
_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)")


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: head and body as bytes."""

    head: bytes
    body: bytes

    @property
    def operation(self) -> str:
        """`DynamoDB.GetItem`, or the request line where the protocol names no operation."""
        found = _TARGET.search(self.head)
        return b".".join(found.groups()).decode() if found else self.head.partition(b" HTTP/")[0].decode()


@dataclass
class Tap:
    """What one connection after the other sent."""

    url: str = ""
    _streams: list[bytearray] = field(default_factory=list)

    def sent(self) -> list[Sent]:
        """All whole requests so far, connection by connection."""
        return [request for stream in list(self._streams) for request in _requests(bytes(stream))]

    def forget(self) -> None:
        """Starts anew; connections that are open go on."""
        for stream in self._streams:
            stream.clear()

    def add(self) -> bytearray:
        """A new connection's stream."""
        self._streams.append(bytearray())
        return self._streams[-1]


@contextmanager
def tapped(upstream: str) -> Iterator[Tap]:
    """A tap on a free port before `upstream`."""
    tap = Tap()
    address = urlsplit(upstream)
    listener = socket.create_server(("127.0.0.1", 0))
    tap.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    connections: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection((address.hostname, address.port))
            connections.extend((near, far))
            stream = tap.add()
            threading.Thread(target=_pump, args=(near, far, stream), daemon=True).start()
            threading.Thread(target=_pump, args=(far, near, None), daemon=True).start()

    threading.Thread(target=accept, name="wire-tap", daemon=True).start()
    try:
        yield tap
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            connection.close()


def _pump(source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            if kept is not None:
                kept += data
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _requests(stream: bytes) -> Iterator[Sent]:
    while (end := stream.find(b"\r\n\r\n")) >= 0:
        head = stream[:end]
        length = _LENGTH.search(head)
        stop = end + 4 + (int(length[1]) if length else 0)
        yield Sent(head, stream[end + 4 : stop])
        stream = stream[stop:]
