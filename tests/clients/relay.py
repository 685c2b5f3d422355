"""A loopback server that refuses as scripted, with the gateway's own error answers, and relays all else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
from gateway.domain.errors import GatewayError
from gateway.entrypoints.http.errors import error_response


@contextmanager
def relay(target: str, refusals: Sequence[GatewayError]) -> Iterator[str]:
    """The URL of a server whose first answers are `refusals`, and whose later ones are the target's."""
    script = list(refusals)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if script:
                refusal = error_response(script.pop(0))
                self._answer(refusal.status_code, dict(refusal.headers), bytes(refusal.body))
                return
            headers = {name: self.headers[name] for name in ("authorization", "content-type")}
            answer = httpx.post(target + self.path, content=body, headers=headers, timeout=90)
            self._answer(answer.status_code, {"content-type": answer.headers["content-type"]}, answer.content)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, name="relay", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
