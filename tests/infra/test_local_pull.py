"""`models pull` against a loopback server that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from gateway.catalogue import load_catalogue

from infra.local.failure import CannotStart
from infra.local.pull import Hub, pull_file, pull_model

CONTENT = bytes(range(256)) * 4000
REPOSITORY, NAME = "google/tiny-gguf", "tiny.gguf"


@dataclass
class FakeHub:
    """Redirects a file to its store, which gives ranges and cuts connections after as many bytes as told."""

    token: str | None = None
    told_sha256: str = hashlib.sha256(CONTENT).hexdigest()
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    authorized_stores: int = 0

    def __post_init__(self) -> None:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                fake.seen.append((self.command, self.path, self.headers.get("Range")))
                if self.path.startswith("/store/"):
                    fake.authorized_stores += "Authorization" in self.headers
                    self.give()
                elif fake.token is not None and self.headers.get("Authorization") != f"Bearer {fake.token}":
                    self.plain(403, {"X-Error-Code": "GatedRepo"})
                elif self.path.startswith("/old/"):
                    self.plain(307, {"Location": self.path.replace("/old/", "/google/")})
                elif self.path == f"/{REPOSITORY}/resolve/main/{NAME}":
                    store = f"http://localhost:{self.server.server_address[1]}/store/{NAME}"
                    linked = {"X-Linked-Etag": f'"{fake.told_sha256}"', "X-Linked-Size": str(len(CONTENT))}
                    self.plain(302, {"Location": store, **linked})
                elif self.path.endswith("README.md"):
                    self.plain(200, {})
                else:
                    self.plain(404, {})

            def plain(self, status: int, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def give(self) -> None:
                asked = self.headers.get("Range")
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and fake.ranges else 0
                self.send_response(206 if asked and fake.ranges else 200)
                self.send_header("Content-Length", str(len(CONTENT) - start))
                self.end_headers()
                limit = fake.cuts.pop(0) if fake.cuts else len(CONTENT)
                self.wfile.write(CONTENT[start : start + limit])
                if start + limit < len(CONTENT):
                    self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def store_ranges(self) -> list[str | None]:
        return [asked for _, path, asked in self.seen if path.startswith("/store/")]


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    hub = FakeHub()
    yield hub
    hub.stop()


def pull(
    fake: FakeHub, directory: Path, *, token: str | None = None, repository: str = REPOSITORY, name: str = NAME
) -> Path:
    with httpx.Client(timeout=5, trust_env=False) as client:
        hub = Hub(client, base_url=fake.url, token=token)
        return pull_file(hub, repository, name, directory=directory, pause_s=0)


def test_a_file_arrives_whole_under_its_name(fake: FakeHub, tmp_path: Path) -> None:
    path = pull(fake, tmp_path / "models")
    assert path == tmp_path / "models" / NAME
    assert path.read_bytes() == CONTENT
    assert [each.name for each in path.parent.iterdir()] == [NAME]


def test_a_connection_cut_in_the_middle_is_taken_up_where_it_broke(fake: FakeHub, tmp_path: Path) -> None:
    fake.cuts = [300_000, 200_000]
    assert pull(fake, tmp_path).read_bytes() == CONTENT
    assert fake.store_ranges() == ["bytes=0-", "bytes=300000-", "bytes=500000-"]


def test_what_a_stopped_run_left_is_not_asked_for_again(fake: FakeHub, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.{fake.told_sha256[:16]}.partial").write_bytes(CONTENT[:700_000])
    assert pull(fake, tmp_path).read_bytes() == CONTENT
    assert fake.store_ranges() == ["bytes=700000-"]


def test_a_store_without_ranges_is_read_from_the_start(fake: FakeHub, tmp_path: Path) -> None:
    fake.ranges, fake.cuts = False, [300_000]
    assert pull(fake, tmp_path).read_bytes() == CONTENT


def test_a_connection_that_never_gets_further_is_given_up(fake: FakeHub, tmp_path: Path) -> None:
    fake.cuts = [1000] + [0] * 20
    with pytest.raises(CannotStart, match="breaks again and again"):
        pull(fake, tmp_path)
    assert (tmp_path / f"{NAME}.{fake.told_sha256[:16]}.partial").stat().st_size == 1000


def test_content_with_another_checksum_is_deleted_and_refused(fake: FakeHub, tmp_path: Path) -> None:
    fake.told_sha256 = "0" * 64
    with pytest.raises(CannotStart, match="checksum"):
        pull(fake, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_loaded_again(fake: FakeHub, tmp_path: Path) -> None:
    pull(fake, tmp_path)
    fake.seen.clear()
    pull(fake, tmp_path)
    assert fake.store_ranges() == []


def test_a_renamed_repository_is_followed(fake: FakeHub, tmp_path: Path) -> None:
    assert pull(fake, tmp_path, repository="old/tiny-gguf").read_bytes() == CONTENT


def test_a_gated_repository_says_what_to_accept_and_the_token_opens_it(fake: FakeHub, tmp_path: Path) -> None:
    fake.token = "hf_right"
    with pytest.raises(CannotStart, match=rf"accept its licence at {fake.url}/{REPOSITORY} .* HF_TOKEN"):
        pull(fake, tmp_path)
    with pytest.raises(CannotStart, match="the account of HF_TOKEN"):
        pull(fake, tmp_path, token="hf_wrong")
    assert pull(fake, tmp_path, token="hf_right").read_bytes() == CONTENT


def test_the_token_stays_with_the_hub(fake: FakeHub, tmp_path: Path) -> None:
    fake.token = "hf_right"
    pull(fake, tmp_path, token="hf_right")
    assert fake.authorized_stores == 0


@pytest.mark.parametrize(("name", "words"), [("other.gguf", "There is no other.gguf"), ("README.md", "no checksum")])
def test_a_file_that_cannot_be_checked_is_not_downloaded(fake: FakeHub, tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(CannotStart, match=words):
        pull(fake, tmp_path, name=name)


def test_a_hub_out_of_reach_is_one_sentence(tmp_path: Path) -> None:
    with httpx.Client(trust_env=False) as client, pytest.raises(CannotStart, match="cannot be reached"):
        pull_file(Hub(client, base_url="http://127.0.0.1:9", token=None), REPOSITORY, NAME, directory=tmp_path)


def test_a_pulled_model_tells_the_model_paths_entry_to_use(fake: FakeHub, tmp_path: Path) -> None:
    model = load_catalogue().models["gemma-3-4b-it-qat"]
    wanted = {"hub_repository": REPOSITORY, "hub_file": NAME, "hub_projector_file": NAME}
    small = type(model)(**{name: getattr(model, name) for name in type(model).__dataclass_fields__} | wanted)
    with httpx.Client(timeout=5, trust_env=False) as client:
        hub = Hub(client, base_url=fake.url, token=None)
        entry = pull_model(hub, small, projector=True, directory=tmp_path)
        assert entry == f"gemma-3-4b-it-qat={tmp_path / NAME}+{tmp_path / NAME}"
        with pytest.raises(CannotStart, match="not on a hub"):
            pull_model(hub, load_catalogue().models["smollm2-135m-instruct"], projector=False, directory=tmp_path)
