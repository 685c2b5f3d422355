"""`python -m infra.local.pull <model>`: a catalogue model's GGUF from its hub, resumable and checksummed."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from gateway.catalogue import load_catalogue
from gateway.domain.models import Model

from infra.local.failure import CannotStart
from infra.local.settings import ROOT

HUB = "https://huggingface.co"
_ATTEMPTS_WITHOUT_PROGRESS = 5
_REDIRECT_LIMIT = 5
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file as its hub describes it; `sha256` is that of its content."""

    url: str
    sha256: str
    size_bytes: int


class Hub:
    """A model hub that speaks the protocol of huggingface.co, as its own clients use it."""

    def __init__(self, client: httpx.Client, *, base_url: str, token: str | None) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._token = token

    def describe(self, repository: str, name: str) -> HubFile:
        """Where a file is and what it must contain. Raises CannotStart."""
        url = httpx.URL(f"{self._base_url}/{repository}/resolve/main/{name}")
        for _ in range(_REDIRECT_LIMIT):
            answer = self._client.head(url, headers=self._authorization())
            target = url.join(answer.headers.get("Location", ""))
            # The redirect to the content's own store carries the checksum; one within the hub is a renamed repository.
            if not answer.is_redirect or "X-Linked-Etag" in answer.headers or target.host != url.host:
                break
            url = target
        self._refuse(answer, repository, name)
        sha256 = answer.headers.get("X-Linked-Etag", "").strip('"')
        size = answer.headers.get("X-Linked-Size", "")
        if len(sha256) != _SHA256_DIGITS or not size.isdigit():
            raise CannotStart(f"The hub tells no checksum for {repository}/{name}, so it is not downloaded.")
        return HubFile(str(url), sha256, int(size))

    def fetch(self, file: HubFile, partial: Path, progress: Callable[[int], None]) -> None:
        """Add to `partial` what it misses. Raises httpx.TransportError where the connection breaks."""
        have = partial.stat().st_size if partial.exists() else 0
        if have >= file.size_bytes:
            return
        # httpx drops the Authorization header when a redirect leaves the hub's host: the store must not get the token.
        headers = {**self._authorization(), "Range": f"bytes={have}-"}
        with self._client.stream("GET", file.url, headers=headers, follow_redirects=True) as answer:
            if answer.status_code >= httpx.codes.BAD_REQUEST:
                raise httpx.TransportError(f"status {answer.status_code}")
            resumed = answer.status_code == httpx.codes.PARTIAL_CONTENT
            with partial.open("ab" if resumed else "wb") as target:
                for block in answer.iter_raw():
                    target.write(block)
                    progress(target.tell())

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _refuse(self, answer: httpx.Response, repository: str, name: str) -> None:
        page = f"{self._base_url}/{repository}"
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise CannotStart(
                f"The hub does not give {repository} to "
                f"{'the account of HF_TOKEN' if self._token else 'anonymous visitors'}: accept its licence at {page} "
                "while signed in, and set HF_TOKEN to a token of that account that may read gated repositories."
            )
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise CannotStart(f"There is no {name} at {page}.")
        if answer.is_error:
            raise CannotStart(f"The hub answers {answer.status_code} for {page}; try again later.")


def pull_file(hub: Hub, repository: str, name: str, *, directory: Path, pause_s: float = 2.0) -> Path:
    """The file's path in `directory`, whole and checked. Raises CannotStart.

    A broken connection is taken up again after `pause_s`, and what a stopped run left is kept for the next.
    """
    path = directory / name
    try:
        file = hub.describe(repository, name)
    except httpx.TransportError as error:
        raise CannotStart(f"The hub cannot be reached: {error}.") from None
    if path.exists() and path.stat().st_size == file.size_bytes and _sha256(path) == file.sha256:
        print(f"{name} is there already", flush=True)
        return path
    directory.mkdir(parents=True, exist_ok=True)
    # Named by its checksum: a newer version on the hub never continues an older one.
    partial = directory / f"{name}.{file.sha256[:16]}.partial"
    missing = file.size_bytes - (partial.stat().st_size if partial.exists() else 0)
    if shutil.disk_usage(directory).free < missing:
        raise CannotStart(f"{directory} has no room for the {missing / 1e9:.1f} GB of {name} that are missing.")
    _fetch_whole(hub, file, partial, name=name, pause_s=pause_s)
    if partial.stat().st_size != file.size_bytes or _sha256(partial) != file.sha256:
        partial.unlink()
        raise CannotStart(
            f"What came for {name} does not have the checksum that the hub tells; it is deleted, try again."
        )
    partial.replace(path)
    return path


def _fetch_whole(hub: Hub, file: HubFile, partial: Path, *, name: str, pause_s: float) -> None:
    progress = _Progress(name, file.size_bytes)
    failures, before = 0, -1
    while True:
        try:
            hub.fetch(file, partial, progress)
        except httpx.TransportError as error:
            have = partial.stat().st_size if partial.exists() else 0
            failures = failures + 1 if have <= before else 1
            before = have
            if failures == _ATTEMPTS_WITHOUT_PROGRESS:
                raise CannotStart(f"The download of {name} breaks again and again ({error}); run this again.") from None
            time.sleep(pause_s)
        else:
            return


class _Progress:
    """A line at most every second."""

    def __init__(self, name: str, size_bytes: int) -> None:
        self._name = name
        self._size_bytes = size_bytes
        self._next = 0.0

    def __call__(self, have_bytes: int) -> None:
        now = time.monotonic()
        if now >= self._next or have_bytes == self._size_bytes:
            self._next = now + 1.0
            share = have_bytes / self._size_bytes
            print(f"{self._name}: {have_bytes / 1e6:.0f} of {self._size_bytes / 1e6:.0f} MB ({share:.0%})", flush=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pull_model(hub: Hub, model: Model, *, projector: bool, directory: Path) -> str:
    """The MODEL_PATHS entry of a model whose files are now in `directory`. Raises CannotStart."""
    if model.hub_repository is None or model.hub_file is None:
        raise CannotStart(f"{model.id} is not on a hub; it comes with requirements-model.lock.")
    if projector and model.hub_projector_file is None:
        raise CannotStart(f"{model.id} has no projector: it sees no images.")
    entry = f"{model.id}={pull_file(hub, model.hub_repository, model.hub_file, directory=directory)}"
    if projector and model.hub_projector_file is not None:
        entry += f"+{pull_file(hub, model.hub_repository, model.hub_projector_file, directory=directory)}"
    return entry


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """0 when the files are there, 1 with a sentence on stderr."""
    models = load_catalogue().models
    parser = argparse.ArgumentParser(prog="python -m infra.local.pull", description=__doc__)
    parser.add_argument("model", choices=[model.id for model in models.values() if model.hub_repository])
    parser.add_argument("--projector", action="store_true", help="also the file with which the model sees images")
    chosen = parser.parse_args(arguments)
    timeout = httpx.Timeout(30.0)
    with httpx.Client(timeout=timeout) as client:
        hub = Hub(client, base_url=environment.get("HF_ENDPOINT") or HUB, token=environment.get("HF_TOKEN") or None)
        try:
            entry = pull_model(hub, models[chosen.model], projector=chosen.projector, directory=ROOT / "models")
        except CannotStart as reason:
            print(reason, file=sys.stderr)
            return 1
    print(f"Serve it with: MODEL_PATHS={entry} make run")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
