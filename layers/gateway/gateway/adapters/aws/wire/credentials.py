"""Who signs: keys of the environment, keys that a container's host gives for a while, or whatever botocore finds.

The container's host is what SnapStart functions have, so that a restored snapshot signs with keys of its own time.
Profiles, single sign-on, web identities and instance roles are a laptop's or a server's: botocore, which knows them
all, is imported only there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from pydantic_core import from_json

from gateway.adapters.aws.threads import call
from gateway.adapters.aws.wire.connection import Connection
from gateway.adapters.aws.wire.endpoints import origin_of
from gateway.adapters.aws.wire.errors import CredentialsUnavailable, TransportFailed
from gateway.adapters.aws.wire.pool import connect
from gateway.adapters.aws.wire.signing import Credentials

RENEW_S = 600.0
"""New keys are asked for so long before the old ones end. SnapStart's live for hours, a role's for one at least."""
LAST_S = 60.0
"""Keys with less time than this are not used: a request signed with them may arrive too late."""
FETCH_TIMEOUT_S = 2.0
_ATTEMPTS = 3
_MOST_BYTES = 64 << 10
_PLAIN_HOSTS = frozenset({"localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
"""Loopback, ECS and EKS: nobody else may be asked for keys, or be told the token, without TLS (botocore's own rule)."""


class CredentialSource(Protocol):
    """Gives the credentials to sign with now."""

    async def now(self) -> Credentials:
        """Raises CredentialsUnavailable, or botocore's errors where it is botocore's chain that gives none."""
        ...


def source_of(environment: Mapping[str, str]) -> CredentialSource:
    """The source that the environment names."""
    if environment.get("AWS_ACCESS_KEY_ID") and environment.get("AWS_SECRET_ACCESS_KEY"):
        keys = (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
        return FixedCredentials(Credentials(*keys, environment.get("AWS_SESSION_TOKEN")))
    chosen_otherwise = environment.get("AWS_PROFILE") or environment.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") and not chosen_otherwise:
        return ContainerCredentials(environment)
    return ChainCredentials()


class FixedCredentials:
    """Keys that stay."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def now(self) -> Credentials:
        """See `CredentialSource.now`."""
        return self._credentials


class ContainerCredentials:
    """Keys from `AWS_CONTAINER_CREDENTIALS_FULL_URI`, renewed before they end."""

    def __init__(self, environment: Mapping[str, str], *, now_s: Callable[[], float] = time.time) -> None:
        self._environment = {name: value for name, value in environment.items() if name.startswith("AWS_")}
        self._url = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        self._now_s = now_s
        self._held: Credentials | None = None
        self._renewing = False
        if not _may_be_asked(self._url):
            raise CredentialsUnavailable("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor a host of AWS's.")

    async def now(self) -> Credentials:
        """See `CredentialSource.now`. While one caller renews, the others go on with what is still good."""
        left_s = self._left_s()
        if self._held is not None and (left_s > RENEW_S or (self._renewing and left_s > LAST_S)):
            return self._held
        self._renewing = True
        try:
            self._held = await self._fetch_with_patience()
        except CredentialsUnavailable:
            if self._held is None or left_s <= LAST_S:
                raise
        finally:
            self._renewing = False
        return self._held

    def _left_s(self) -> float:
        if self._held is None:
            return 0.0
        return float("inf") if self._held.expires_s is None else self._held.expires_s - self._now_s()

    async def _fetch_with_patience(self) -> Credentials:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._fetch()
            except TransportFailed as failure:
                if attempt == _ATTEMPTS:
                    raise CredentialsUnavailable(f"the container's credentials: {failure}") from None
        raise AssertionError

    async def _fetch(self) -> Credentials:
        origin, host, path = origin_of(self._url, self._environment)
        query = urlsplit(self._url).query
        target = (path or "/") + (f"?{query}" if query else "")
        head = [f"GET {target} HTTP/1.1", f"Host: {host}", "Accept: application/json", "Connection: close"]
        if token := await self._token():
            head.append(f"Authorization: {token}")
        connection = Connection(on_free=Connection.abort, on_lost=lambda _: None)
        await connect(origin, connection)
        try:
            answer = connection.ask("\r\n".join([*head, "", ""]).encode("latin-1"))
            await answer.opened(timeout_s=FETCH_TIMEOUT_S)
            body = await answer.whole(most_bytes=_MOST_BYTES, timeout_s=FETCH_TIMEOUT_S)
        finally:
            connection.abort()
        if answer.status >= 500:
            raise TransportFailed(f"status {answer.status}")
        if answer.status != 200:
            raise CredentialsUnavailable(f"the container's credentials: status {answer.status}")
        return _read(body)

    async def _token(self) -> str:
        """The token that the host asks for; one in a file is rotated, so it is read each time."""
        file = self._environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        try:
            token = await call(Path(file).read_text) if file else None
        except OSError as error:
            raise CredentialsUnavailable(f"the container's token: {error}") from None
        token = token or self._environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        if "\r" in token or "\n" in token:
            raise CredentialsUnavailable("the container's token holds a line break")
        return token


class ChainCredentials:
    """What botocore's chain of providers finds; it renews them itself."""

    def __init__(self) -> None:
        self._found: Any = None

    async def now(self) -> Credentials:
        """See `CredentialSource.now`; in a thread, for it may ask the network or read files."""
        keys = await call(self._read)
        return Credentials(keys.access_key, keys.secret_key, keys.token)

    def _read(self) -> Any:
        if self._found is None:
            import botocore.session  # noqa: PLC0415
            from botocore.exceptions import NoCredentialsError  # noqa: PLC0415

            self._found = botocore.session.get_session().get_credentials()
            if self._found is None:
                raise NoCredentialsError
        return self._found.get_frozen_credentials()


def _may_be_asked(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname in _PLAIN_HOSTS:
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _read(body: bytes) -> Credentials:
    try:
        told = from_json(body)
        expires_s = datetime.fromisoformat(told["Expiration"]).timestamp() if "Expiration" in told else None
        return Credentials(told["AccessKeyId"], told["SecretAccessKey"], told.get("Token"), expires_s)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CredentialsUnavailable("the container's credentials are in no known form") from None
