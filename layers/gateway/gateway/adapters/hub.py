"""A model hub that speaks the protocol of huggingface.co, as its own clients use it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import quote

import httpx

from gateway.application.staging import CannotStage
from gateway.domain.weights import WeightsFile

HUB = "https://huggingface.co"
TIMEOUT_S = 30.0
_ATTEMPTS_WITHOUT_PROGRESS = 5
_REDIRECT_LIMIT = 5
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_ID = re.compile(r"[0-9a-f]{40}")
# A compressed answer would be as long as neither the file nor the range that was asked for.
_AS_IT_IS = {"Accept-Encoding": "identity"}


class HuggingFaceHub:
    """Keeps the promises of `staging.Hub`."""

    def __init__(self, *, base_url: str = HUB, token: str | None = None, pause_s: float = 2.0) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = _AS_IT_IS | ({"Authorization": f"Bearer {token}"} if token else {})
        self._has_token = bool(token)
        self._pause_s = pause_s

    def names(self, repository: str) -> list[str]:
        """See `staging.Hub.names`; Git's own files are left out."""
        url = f"{self._base_url}/api/models/{repository}/tree/main?recursive=true"
        entries: list[dict[str, str]] = []
        while url:
            answer = self._ask("GET", url, follow_redirects=True)
            self._refuse(answer, repository, "such repository")
            entries += answer.json()
            url = answer.links.get("next", {}).get("url", "")
        return sorted(
            entry["path"] for entry in entries if entry["type"] == "file" and not entry["path"].startswith(".git")
        )

    def describe(self, repository: str, name: str) -> WeightsFile:
        """See `staging.Hub.describe`."""
        url = httpx.URL(f"{self._base_url}/{repository}/resolve/main/{quote(name)}")
        for _ in range(_REDIRECT_LIMIT):
            answer = self._ask("HEAD", url)
            target = url.join(answer.headers.get("Location", ""))
            # The redirect to the content's own store carries the checksum; one within the hub is a renamed repository.
            if not answer.is_redirect or "X-Linked-Etag" in answer.headers or target.host != url.host:
                break
            url = target
        self._refuse(answer, repository, name)
        digest = answer.headers.get("X-Linked-Etag", answer.headers.get("ETag", "")).strip('"')
        size = answer.headers.get("X-Linked-Size", answer.headers.get("Content-Length", ""))
        if size.isdigit() and _SHA256.fullmatch(digest):
            return WeightsFile(name=name, url=str(url), algorithm="sha256", digest=digest, size_bytes=int(size))
        if size.isdigit() and _GIT_ID.fullmatch(digest):
            return WeightsFile(name=name, url=str(url), algorithm="git-sha1", digest=digest, size_bytes=int(size))
        raise CannotStage(f"The hub tells no checksum for {repository}/{name}, so it is not downloaded.")

    def blocks(self, file: WeightsFile, *, start: int = 0) -> Iterator[bytes]:
        """See `staging.Hub.blocks`."""
        have, failures = start, 0
        while have < file.size_bytes:
            before = have
            try:
                for block in self._read(file, have):
                    have += len(block)
                    yield block
            except httpx.TransportError as error:
                failures = 1 if have > before else failures + 1
                if failures == _ATTEMPTS_WITHOUT_PROGRESS:
                    raise CannotStage(
                        f"The download of {file.name} breaks again and again ({error}); run this again."
                    ) from None
                time.sleep(self._pause_s)

    def _read(self, file: WeightsFile, start: int) -> Iterator[bytes]:
        # httpx drops the Authorization header when a redirect leaves the hub's host: the store must not get the token.
        headers = {**self._headers, "Range": f"bytes={start}-"}
        with httpx.stream("GET", file.url, headers=headers, follow_redirects=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code >= httpx.codes.BAD_REQUEST:
                raise httpx.TransportError(f"status {answer.status_code}")
            skipped = 0 if answer.status_code == httpx.codes.PARTIAL_CONTENT else start
            for block in answer.iter_raw():
                wanted = block[skipped:]
                skipped -= len(block) - len(wanted)
                if wanted:
                    yield wanted

    def _ask(self, method: str, url: httpx.URL | str, *, follow_redirects: bool = False) -> httpx.Response:
        try:
            return httpx.request(
                method, url, headers=self._headers, follow_redirects=follow_redirects, timeout=TIMEOUT_S
            )
        except httpx.TransportError as error:
            raise CannotStage(f"The hub cannot be reached: {error}.") from None

    def _refuse(self, answer: httpx.Response, repository: str, name: str) -> None:
        page = f"{self._base_url}/{repository}"
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            who = "the account of HF_TOKEN" if self._has_token else "anonymous visitors"
            raise CannotStage(
                f"The hub does not give {repository} to {who}: accept its licence at {page} "
                "while signed in, and set HF_TOKEN to a token of that account that may read gated repositories."
            )
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise CannotStage(f"There is no {name} at {page}.")
        if answer.is_error:
            raise CannotStage(f"The hub answers {answer.status_code} for {page}; try again later.")
