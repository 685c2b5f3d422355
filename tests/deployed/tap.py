"""A look at the wire between a function and AWS: who signs its calls, and which connections it keeps."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from infra.local.credentials import CREDENTIALS

_SESSION = re.compile(rb"(?i)x-amz-security-token: (\S+)")


class Tap:
    """A port that leads to a port of AWS's.

    `sessions` are those of the credentials that signed what went through, `connections` how many were made for it.
    """

    def __init__(self, port: int) -> None:
        self.sessions: list[str] = []
        self.connections = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def begin_anew(self) -> None:
        """Forgets what it has seen."""
        self.sessions, self.connections = [], 0

    def close(self) -> None:
        """Takes no new connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._target)) as far:
            back = threading.Thread(target=_pump, args=(far, near), daemon=True)
            back.start()
            with suppress(OSError):
                while data := near.recv(65536):
                    # a head is written in one piece by every client of ours
                    self.sessions += [token.decode() for token in _SESSION.findall(data)]
                    far.sendall(data)
            with suppress(OSError):
                far.shutdown(socket.SHUT_RDWR)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)


class CredentialsEndpoint:
    """Where a function under SnapStart gets its credentials from: an address in its environment, not keys.

    They expire far in the future, so whoever keeps them past a restore keeps them for the rest of a test.
    """

    def __init__(self) -> None:
        endpoint = self
        self.session = "at-init"
        self.token = "the-container"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert self.headers["Authorization"] == endpoint.token
                body = json.dumps(
                    {
                        "AccessKeyId": CREDENTIALS["AWS_ACCESS_KEY_ID"],
                        "SecretAccessKey": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
                        "Token": endpoint.session,
                        "Expiration": "2099-01-01T00:00:00Z",
                    }
                ).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def variables(self) -> dict[str, str]:
        """What Lambda sets in place of the keys."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{self._server.server_port}/",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self.token,
        }

    def close(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
