"""A proxy between botocore and moto that fails chosen calls the way AWS and networks do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Kind = Literal["throttled", "conflict", "error", "dropped before", "dropped after"]
"""The last two cut the connection: before the call reached the server, or after it took effect."""

_ERRORS: dict[Kind, tuple[int, str]] = {
    "throttled": (400, "ProvisionedThroughputExceededException"),
    "conflict": (400, "TransactionConflictException"),
    "error": (500, "InternalServerError"),
}
_HOP = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})


@dataclass
class FaultProxy:
    """Fails the calls that it was told to; everything else goes through."""

    url: str = ""
    calls: list[str] = field(default_factory=list)
    _plan: dict[str, list[Kind | None]] = field(default_factory=dict)
    _always: dict[str, Kind] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, operation: str, *kinds: Kind | None) -> None:
        """The next calls of this operation fail like this, one after the other; None goes through."""
        self._plan[operation] = list(kinds)

    def fail_always(self, operation: str, kind: Kind) -> None:
        """All calls of this operation fail like this until `heal`."""
        self._always[operation] = kind

    def heal(self) -> None:
        """Nothing fails any more, and the calls so far are forgotten."""
        self._plan.clear()
        self._always.clear()
        self.calls.clear()

    def take(self, operation: str) -> Kind | None:
        """How this call fails, if it does."""
        with self._lock:
            self.calls.append(operation)
            planned = self._plan.get(operation)
            return planned.pop(0) if planned else self._always.get(operation)


@contextmanager
def run_fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """A proxy on a free port in front of `upstream`."""
    proxy = FaultProxy()

    class Handler(_Handler):
        faults = proxy
        host = urlsplit(upstream).netloc

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="fault-proxy", daemon=True)
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    faults: FaultProxy
    host: str

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        operation = self.headers["x-amz-target"].partition(".")[2]
        kind = self.faults.take(operation)
        if kind == "dropped before":
            return self._drop()
        if kind in _ERRORS:
            return self._refuse(kind, operation)
        status, headers, answer = self._forward(body)
        if kind == "dropped after":
            return self._drop()
        return self._answer(status, headers, answer)

    def _drop(self) -> None:
        self.close_connection = True

    def _refuse(self, kind: Kind, operation: str) -> None:
        status, code = _ERRORS[kind]
        fields: dict[str, Any] = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no"}
        if kind == "conflict" and operation == "TransactWriteItems":
            fields["__type"] = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
            fields["CancellationReasons"] = [{"Code": "TransactionConflict", "Message": "no"}, {"Code": "None"}]
        self._answer(status, {"content-type": "application/x-amz-json-1.0"}, json.dumps(fields).encode())

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection(self.host)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            connection.request("POST", self.path, body, headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""
