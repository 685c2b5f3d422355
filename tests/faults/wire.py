"""The wire between a gateway and AWS: every call is seen, and at one step things go wrong."""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from infra.local.event_stream import CONTENT_TYPE, encode_exception
from tests.faults.steps import ADMIT, FRAME, INVOKE, LASTING, Fault, Step, label_of

PATIENCE_S = 60
_HOP = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})
_BROKEN = {"Message": "The connection to the model was reset.", "ErrorCode": "StreamBroken"}


def _nothing() -> None:
    """Nobody minds."""


@dataclass
class Wire:
    """What has passed, and what goes wrong: `fault` at `step`.

    `kill` and `leave` are how the process and its client end.
    """

    step: Step | None = None
    fault: Fault | None = None
    kill: Callable[[], None] = _nothing
    leave: Callable[[], None] = _nothing
    also: dict[str, Fault] = field(default_factory=dict)
    """Calls that fail all along, by their label."""
    on_call: dict[str, Callable[[], None]] = field(default_factory=dict)
    """What happens elsewhere before a call of this label goes on."""
    steps: list[Step] = field(default_factory=list)
    reached: bool = False
    admitted: set[str] = field(default_factory=set)
    """Requests whose admission took effect, whether or not anybody heard of it."""
    _counts: Counter[str] = field(default_factory=Counter)
    _lasting: dict[str, Fault] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fault_at(self, service: str, label: str) -> Fault | None:
        """What goes wrong with this call, or with this frame."""
        self.on_call.get(label, _nothing)()
        with self._lock:
            self._counts[label] += 1
            step = Step(label, self._counts[label])
            self.steps.append(step)
            if step == self.step and not self.reached:
                self.reached = True
                if self.fault in LASTING:
                    # of a service that is out, nothing is reached; of one whose answers are lost, this call only
                    self._lasting[label if self.fault is Fault.DEAF else service] = self.fault
                return self.fault
            return self._lasting.get(service) or self._lasting.get(label) or self.also.get(label)

    def begin(self, service: str, fault: Fault) -> None:
        """From here on every call of this service fails so."""
        with self._lock:
            self._lasting[service] = fault

    def heal(self) -> None:
        """Nothing fails any more."""
        with self._lock:
            self._lasting.clear()

    def note(self, label: str, body: bytes) -> None:
        """Remembers who was admitted by a write that took effect."""
        if label == ADMIT:
            fields = json.loads(body)
            if ":lease" in fields["ExpressionAttributeValues"]:
                with self._lock:
                    self.admitted.add(fields["ExpressionAttributeNames"]["#rid"])


@dataclass
class Tap:
    """Where a gateway reaches AWS by: `urls` by upstream. What passes goes by the `wire` of the moment."""

    wire: Wire = field(default_factory=Wire)
    urls: dict[str, str] = field(default_factory=dict)


@contextmanager
def run_tap(upstreams: Mapping[str, str]) -> Iterator[Tap]:
    """Listens before each upstream until the end of the block."""
    tap = Tap()
    servers = []
    for name, url in upstreams.items():
        handler = type("Handler", (_Handler,), {"tap": tap, "upstream": urlsplit(url).netloc})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        tap.urls[name] = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        servers.append((server, thread))
    try:
        yield tap
    finally:
        for server, thread in servers:
            server.shutdown()
            thread.join()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_S
    tap: Tap
    upstream: str

    def do_POST(self) -> None:
        self.wire = self.tap.wire  # a call belongs to the request that made it, however late it comes back
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        service, label = label_of(self.path, headers, body)
        fault = self.wire.fault_at(service, label)
        if fault is Fault.KILL_BEFORE:
            self.wire.kill()
        if fault in (Fault.KILL_BEFORE, Fault.CUT_BEFORE, Fault.OUT):
            self._cut()
            return
        if fault in (Fault.THROTTLE, Fault.THROTTLE_ON):
            self._throttle(service)
            return
        if fault is Fault.LEAVE_BEFORE:
            self.wire.leave()
        connection = HTTPConnection(self.upstream, timeout=PATIENCE_S)
        try:
            if fault is Fault.TWICE:
                self._forward(connection, label, body).read()
            answer = self._forward(connection, label, body)
            if fault is Fault.LEAVE_AFTER:
                self.wire.leave()
            if fault is Fault.KILL_AFTER:
                self.wire.kill()
            if fault is Fault.LATE:
                self._wait_until_given_up()
            if fault in (Fault.KILL_AFTER, Fault.CUT_AFTER, Fault.LATE, Fault.DEAF):
                self._cut()
                return
            if label == INVOKE and answer.headers["content-type"] == CONTENT_TYPE:
                self._stream(answer)
                return
            self._answer(answer.status, answer.headers.items(), answer.read())
        except (BrokenPipeError, ConnectionResetError):
            self._cut()
        finally:
            connection.close()

    def do_GET(self) -> None:
        self.do_POST()

    def do_PUT(self) -> None:
        self.do_POST()

    def _forward(self, connection: HTTPConnection, label: str, body: bytes) -> HTTPResponse:
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        if answer.status == 200:
            self.wire.note(label, body)
        return answer

    def _stream(self, answer: HTTPResponse) -> None:
        self._start(answer.status, answer.headers.items(), ("Transfer-Encoding", "chunked"))
        while frame := _next_frame(answer):
            fault = self.wire.fault_at("sagemaker", FRAME)
            if fault is Fault.KILL_BEFORE:
                self.wire.kill()
            if fault in (Fault.KILL_BEFORE, Fault.CUT_BEFORE):
                self._cut()
                return
            if fault is Fault.BREAK:
                self._chunk(encode_exception("ModelStreamError", _BROKEN))
                break
            self._chunk(frame[: len(frame) // 2] if fault is Fault.CUT_WITHIN else frame)
            if fault is Fault.LEAVE_AFTER:
                self.wire.leave()
            if fault is Fault.KILL_AFTER:
                self.wire.kill()
            if fault in (Fault.KILL_AFTER, Fault.CUT_WITHIN):
                self._cut()
                return
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _wait_until_given_up(self) -> None:
        select.select([self.connection], [], [], PATIENCE_S)

    def _throttle(self, service: str) -> None:
        codes = {"dynamodb": "ProvisionedThroughputExceededException", "sqs": "RequestThrottled"}
        code = codes.get(service, "ThrottlingException")
        body = json.dumps({"__type": f"com.amazonaws#{code}", "message": "Rate exceeded"}).encode()
        headers = [("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-errortype", code)]
        self._answer(400, headers, body)

    def _answer(self, status: int, headers: Any, body: bytes) -> None:
        self._start(status, headers, ("Content-Length", str(len(body))))
        self.wfile.write(body)

    def _start(self, status: int, headers: Any, framing: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in [*((n, v) for n, v in headers if n.lower() not in _HOP), framing]:
            self.send_header(name, value)
        self.end_headers()

    def handle(self) -> None:
        """A caller that is killed resets its connections."""
        with suppress(ConnectionError, TimeoutError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def _next_frame(answer: HTTPResponse) -> bytes:
    """The next message of an event stream; empty at the end, or where the engine's connection broke."""
    try:
        head = answer.read(4)
        if len(head) < 4:
            return b""
        return head + answer.read(struct.unpack("!I", head)[0] - 4)
    except HTTPException:
        return b""
