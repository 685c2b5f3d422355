"""Lambda's Runtime API, played by the test: it hands out events, and shows an answer part by part as it comes.

Between two invocations the processes of the environment are stopped, as Lambda freezes them: what a function had
left to do then is not done.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

PATIENCE_S = 30
_NULS = b"\0" * 8
_HTTP_INTEGRATION = "application/vnd.awslambda.http-integration-response"
_END = None


@dataclass(frozen=True)
class Invocation:
    """One event on its way through the function. `headers` are those of the function's answer to the Runtime API."""

    event: Mapping[str, Any]
    id: str = field(default_factory=lambda: str(uuid4()))
    headers: dict[str, str] = field(default_factory=dict)
    _parts: SimpleQueue[bytes | None] = field(default_factory=SimpleQueue)
    _over: threading.Event = field(default_factory=threading.Event)

    def read_prelude(self) -> tuple[int, dict[str, str]]:
        """Status and headers, which come before anything of the body."""
        data = b""
        while not data.endswith(_NULS):
            part = self.read_part()
            assert part, f"the answer ended after {data!r}"
            data += part
        assert self.headers["lambda-runtime-function-response-mode"] == "streaming"
        assert self.headers["content-type"] == _HTTP_INTEGRATION
        prelude = json.loads(data.removesuffix(_NULS))
        return prelude["statusCode"], {name.lower(): value for name, value in prelude["headers"].items()}

    def read_part(self) -> bytes:
        """The next part as the function wrote it; empty at the end."""
        return self._parts.get(timeout=PATIENCE_S) or b""

    def read_parts(self) -> Iterator[bytes]:
        """All parts that are left."""
        while part := self.read_part():
            yield part

    def read_answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and the whole body, once Lambda would freeze the function."""
        status, headers = self.read_prelude()
        body = b"".join(self.read_parts())
        self.wait_frozen()
        return status, headers, body

    def read_json(self) -> Any:
        """The whole answer of a function that answers JSON, buffered."""
        return json.loads(b"".join(self.read_parts()))

    def wait_frozen(self) -> None:
        """Returns when the function has asked for its next event and is stopped."""
        assert self._over.wait(PATIENCE_S), "the function did not ask for its next event"

    def take(self, part: bytes | None) -> None:
        """One more part of the answer, or its end."""
        self._parts.put(part)

    def is_over(self) -> None:
        """The function is stopped."""
        self._over.set()


class RuntimeApi:
    """The server. `address` is what Lambda gives in AWS_LAMBDA_RUNTIME_API."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, name="runtime-api", daemon=True)
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._waiting: SimpleQueue[Invocation | None] = SimpleQueue()
        self._current: Invocation | None = None
        self._processes: list[int] = []
        self.stopping = threading.Event()

    def freezes(self, process_group: int) -> None:
        """Stops this group of processes whenever nothing is invoked."""
        self._processes.append(process_group)

    def invoke(self, event: Mapping[str, Any]) -> Invocation:
        """Hands an event to the function as soon as it asks for one."""
        invocation = Invocation(event)
        self._waiting.put(invocation)
        return invocation

    def next(self) -> Invocation | None:
        """The next event, for the server; None at the end. Everything is frozen until there is one."""
        self._signal(signal.SIGSTOP)
        if self._current is not None:
            self._current.is_over()
        self._current = self._waiting.get()
        self._signal(signal.SIGCONT)
        return self._current

    def current(self, id_: str) -> Invocation:
        """The invocation that is answered, for the server."""
        assert self._current is not None
        assert self._current.id == id_
        return self._current

    def stop(self) -> None:
        """Ends the server and lets nothing frozen behind."""
        self.stopping.set()
        self._waiting.put(None)
        self._signal(signal.SIGCONT)
        self._server.shutdown()
        self._server.server_close()

    def _signal(self, number: int) -> None:
        for group in self._processes:
            os.killpg(group, number)


def _handler_of(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/2020-01-01/extension/event/next":
                # The adapter registers for no events, so none ever comes.
                api.stopping.wait()
                self.close_connection = True
                return
            assert self.path == "/2018-06-01/runtime/invocation/next", self.path
            invocation = api.next()
            if invocation is None:
                self.close_connection = True
                return
            headers = {
                "Lambda-Runtime-Aws-Request-Id": invocation.id,
                "Lambda-Runtime-Deadline-Ms": "4102444800000",
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:tested",
                "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
            }
            self._answer(200, headers, json.dumps(invocation.event).encode())

        def do_POST(self) -> None:
            if self.path == "/2020-01-01/extension/register":
                self._read_whole()
                self._answer(200, {"Lambda-Extension-Identifier": str(uuid4())}, b"{}")
                return
            assert self.path.startswith("/2018-06-01/runtime/invocation/"), self.path
            id_, what = self.path.split("/")[-2:]
            invocation = api.current(id_)
            invocation.headers.update({name.lower(): value for name, value in self.headers.items()})
            invocation.headers["x-answered-by"] = what
            for part in self._read_parts():
                invocation.take(part)
            self._answer(202, {}, b"")
            invocation.take(_END)

        def _read_parts(self) -> Iterator[bytes]:
            if self.headers.get("Transfer-Encoding") != "chunked":
                yield self._read_whole()
                return
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers

        def _read_whole(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))

        def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a test reads what matters itself."""

    return Handler
