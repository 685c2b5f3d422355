"""A model hub on loopback that speaks the protocol of huggingface.co."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPOSITORY, NAME = "google/tiny-gguf", "tiny.gguf"
CONTENT = bytes(range(256)) * 4000


def git_id(content: bytes) -> str:
    """What Git calls a file of this content, and the hub a small file's ETag."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass
class FakeHub:
    """Redirects large files to their store, which gives ranges and cuts connections after as many bytes as told.

    `small` are files that the hub gives itself; `seen` is every request: method, path, range.
    """

    content: bytes = CONTENT
    small: dict[str, bytes] = field(default_factory=dict)
    token: str | None = None
    told_sha256: str | None = None
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    page: int = 100
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    authorized_stores: int = 0
    url: str = ""

    @property
    def sha256(self) -> str:
        """What the hub says of the large file."""
        return self.told_sha256 or hashlib.sha256(self.content).hexdigest()

    def store_ranges(self) -> list[str | None]:
        """The ranges that were asked of the store."""
        return [asked for _, path, asked in self.seen if path.startswith("/store/")]


@contextmanager
def run_hub() -> Iterator[FakeHub]:
    """A hub on a free port."""
    fake = FakeHub()

    class Handler(_Handler):
        hub = fake

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.hub, self.path.partition("?")[0]
        hub.seen.append((self.command, path, self.headers.get("Range")))
        _, _, name = path.partition(f"/{REPOSITORY}/resolve/main/")
        if path.startswith("/store/"):
            hub.authorized_stores += "Authorization" in self.headers
            self._give(hub.content, {})
        elif hub.token is not None and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._plain(403, {"X-Error-Code": "GatedRepo"})
        elif path.startswith("/old/"):
            self._plain(307, {"Location": path.replace("/old/", "/google/")})
        elif path == f"/api/models/{REPOSITORY}/tree/main":
            self._list()
        elif name == NAME:
            store = f"http://localhost:{self.server.server_address[1]}/store/{NAME}"  # type: ignore[misc]
            linked = {"X-Linked-Etag": f'"{hub.sha256}"', "X-Linked-Size": str(len(hub.content))}
            self._plain(302, {"Location": store, "ETag": '"of-the-pointer"', **linked})
        elif name in hub.small:
            self._give(hub.small[name], {"ETag": f'"{git_id(hub.small[name])}"'})
        elif path.endswith("README.md"):
            self._plain(200, {})
        else:
            self._plain(404, {})

    def _list(self) -> None:
        names = [".gitattributes", NAME, *self.hub.small]
        start = int(self.path.partition("cursor=")[2] or 0)
        entries = [{"type": "directory", "path": "extra"}, *({"type": "file", "path": name} for name in names)]
        body = json.dumps(entries[start : start + self.hub.page]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if start + self.hub.page < len(entries):
            following = (
                f"{self.hub.url}/api/models/{REPOSITORY}/tree/main?recursive=true&cursor={start + self.hub.page}"
            )
            self.send_header("Link", f'<{following}>; rel="next"')
        self.end_headers()
        self.wfile.write(body)

    def _plain(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _give(self, content: bytes, headers: dict[str, str]) -> None:
        asked = self.headers.get("Range") if self.hub.ranges else None
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        for name, value in {**headers, "Content-Length": str(len(content) - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        limit = self.hub.cuts.pop(0) if self.hub.cuts else len(content)
        self.wfile.write(content[start : start + limit])
        if start + limit < len(content):
            self.close_connection = True
