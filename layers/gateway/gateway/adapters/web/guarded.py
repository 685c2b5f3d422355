"""https to the public internet, for URLs that strangers choose.

    judge URL ─ resolve once ─ judge every address ─ connect to one of these ─ bounded read
        └───────────────── each redirect starts here again, three at most ─────────┘

The name is looked up by us and the connection goes to the address that was judged: a second answer of the DNS can't
change it. TLS is verified for the name, and the Host header is the name's.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from gateway.adapters.web.resolving import Resolve, resolve
from gateway.domain.addresses import IPAddress, is_public
from gateway.domain.errors import OutboundFailed

MAX_REDIRECTS = 3
MAX_ADDRESSES = 3
"""A host may have many; so many are tried, while there is time."""
CONNECT_TIMEOUT_S = 3.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    # compressed, a small body could unfold to more memory than we have before it is counted
    "accept-encoding": "identity",
    "connection": "close",
    "user-agent": "studiolm-gateway",
}
# One text for a name that is unknown, a name that leads inside and a host that does not answer: what differs would tell
# strangers which names and machines there are in our network.
_UNREACHABLE = "the host can't be reached over the public internet"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A judged URL and where it leads."""

    url: httpx.URL
    addresses: Sequence[IPAddress]


class GuardedWeb:
    """Keeps the promises of `ports.Web`.

    `timeout_s` bounds a whole call, redirects and body included. `allow` judges addresses; only a test or a local run
    has one of its own.
    """

    def __init__(
        self,
        *,
        ports: frozenset[int],
        timeout_s: float,
        allow: Callable[[IPAddress], bool] = is_public,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        # httpx logs each URL at INFO, and a URL may hold its owner's secret
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._ports = ports
        self._timeout_s = timeout_s
        self._allow = allow
        self._resolve = resolve
        self._tls = tls or httpx.create_ssl_context(trust_env=False)

    async def get(self, url: str, *, media_types: frozenset[str], max_bytes: int) -> bytes:
        """See `ports.Web.get`."""
        async with _within(self._timeout_s):
            at = _parse(url)
            for _ in range(MAX_REDIRECTS + 1):
                headers = {"accept": ", ".join(sorted(media_types))}
                async with self._exchange("GET", await self._judge(at), headers=headers) as response:
                    if response.status_code not in _REDIRECTS:
                        return await _read(response, media_types=media_types, max_bytes=max_bytes)
                    at = _parse(response.headers.get("location", ""), base=at)
            raise OutboundFailed(f"it redirects more than {MAX_REDIRECTS} times")

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> int:
        """See `ports.Web.post`. A redirect is not followed: its status is the answer."""
        async with _within(self._timeout_s):
            target = await self._judge(_parse(url))
            async with self._exchange("POST", target, headers=headers, body=body) as response:
                return response.status_code

    async def _judge(self, url: httpx.URL) -> _Target:
        port = url.port or 443
        if url.scheme != "https" or not url.host or url.userinfo or port not in self._ports:
            allowed = " or ".join(str(port) for port in sorted(self._ports))
            raise OutboundFailed(f"only https on port {allowed} is called, without credentials in the URL")
        try:
            addresses = await self._resolve(url.raw_host.decode("ascii"), port)
        except OSError:
            raise OutboundFailed(_UNREACHABLE) from None
        if not addresses or not all(self._allow(address) for address in addresses):
            raise OutboundFailed(_UNREACHABLE)
        return _Target(url=url, addresses=addresses[:MAX_ADDRESSES])

    @asynccontextmanager
    async def _exchange(
        self, method: str, target: _Target, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        # A client for each exchange: its pool knows connections by address, and one that was opened for another name of
        # the same address was verified for that name.
        timeout = httpx.Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S)
        async with httpx.AsyncClient(verify=self._tls, timeout=timeout, trust_env=False) as client:
            try:
                response = await _send(client, method, target, headers=headers, body=body)
                try:
                    yield response
                finally:
                    await response.aclose()
            except (httpx.TransportError, httpx.InvalidURL):
                raise OutboundFailed("the host broke off the exchange") from None


async def _send(
    client: httpx.AsyncClient, method: str, target: _Target, *, headers: Mapping[str, str], body: bytes | None
) -> httpx.Response:
    """The answer's head from the first address that takes a connection; nothing was sent to those that did not."""
    name = target.url.raw_host.decode("ascii")
    for address in target.addresses:
        request = client.build_request(
            method,
            target.url.copy_with(host=str(address)),
            headers={**headers, **_HEADERS, "host": target.url.netloc.decode("ascii")},
            content=body,
            extensions={"sni_hostname": name},
        )
        try:
            return await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
        except ValueError:  # what `ssl` says of a name that TLS can't carry, such as `.example`
            break
    raise OutboundFailed(_UNREACHABLE)


async def _read(response: httpx.Response, *, media_types: frozenset[str], max_bytes: int) -> bytes:
    if response.status_code != 200:
        raise OutboundFailed(f"the host answered with status {response.status_code}")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in media_types:
        raise OutboundFailed(f"the host sent something else than {', '.join(sorted(media_types))}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise OutboundFailed("the host sent a compressed body, which was not asked for")
    declared = response.headers.get("content-length", "0")
    body = bytearray()
    if re.fullmatch(r"[0-9]{1,18}", declared) and int(declared) <= max_bytes:
        async for part in response.aiter_raw():
            body += part
            if len(body) > max_bytes:
                break
        else:
            return bytes(body)
    raise OutboundFailed(f"the host sent more than {max_bytes} bytes")


def _parse(url: str, *, base: httpx.URL | None = None) -> httpx.URL:
    try:
        return httpx.URL(url) if base is None else base.join(url)
    except (httpx.InvalidURL, ValueError):
        raise OutboundFailed("it is not a valid URL") from None


@asynccontextmanager
async def _within(timeout_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise OutboundFailed(f"the host took longer than {timeout_s:g} seconds") from None
