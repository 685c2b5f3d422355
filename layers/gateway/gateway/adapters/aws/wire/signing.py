"""Signature Version 4 (AWS General Reference, "Signing AWS API requests")."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys as they are now. `expires_s` is the Unix time at which AWS stops to take them, None for never."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expires_s: float | None = None


class Signer:
    """Signs for one service in one region. What a day's signatures have in common is derived once."""

    def __init__(self, *, service: str, region: str) -> None:
        self._service = service
        self._region = region
        self._derived: tuple[tuple[str, str], str, bytes] = (("", ""), "", b"")

    def sign(
        self,
        credentials: Credentials,
        *,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str],
        body: bytes,
        now_s: float,
    ) -> dict[str, str]:
        """`headers` with the date, the token and the signature, names in lower case. All that is given is signed.

        The host must be among the headers; `path` and `query` are as they go over the wire, already quoted.
        """
        timestamp = _timestamp(int(now_s))
        signed = {name.lower(): value for name, value in headers.items()}
        signed["x-amz-date"] = timestamp
        if credentials.session_token:
            signed["x-amz-security-token"] = credentials.session_token
        named = sorted(signed)
        names = ";".join(named)
        lines = "".join([f"{name}:{' '.join(signed[name].split())}\n" for name in named])
        target = f"{_canonical_path(path)}\n{_canonical_query(query)}"
        request = f"{method}\n{target}\n{lines}\n{names}\n{sha256(body).hexdigest()}"
        scope, key = self._of_day(credentials.secret_access_key, timestamp[:8])
        to_sign = f"{ALGORITHM}\n{timestamp}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        signed["authorization"] = (
            f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return signed

    def _of_day(self, secret: str, date: str) -> tuple[str, bytes]:
        """The scope of a day's signatures, and the key that they are made with."""
        made_of, scope, key = self._derived
        if made_of != (secret, date):
            scope = f"{date}/{self._region}/{self._service}/aws4_request"
            key = f"AWS4{secret}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._derived = ((secret, date), scope, key)
        return scope, key


@lru_cache(maxsize=4)
def _timestamp(now_s: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))


@lru_cache(maxsize=64)
def _canonical_path(path: str) -> str:
    return quote(_normal(path), safe="/~")


def _normal(path: str) -> str:
    """The path without empty, `.` and `..` segments, which the signature knows nothing of."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    slash = "/" if kept and path.endswith("/") else ""
    return f"/{'/'.join(kept)}{slash}"


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = (pair.partition("=") for pair in query.split("&"))
    return "&".join(f"{name}={value}" for name, value in sorted((name, value) for name, _, value in pairs))
