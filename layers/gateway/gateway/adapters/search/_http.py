"""One bounded JSON exchange with a search vendor, and its failures as ours.

failure                                    what becomes of it
-----------------------------------------  -----------------------------------------------
connection refused, reset while connecting  once more, then SearchFailed
429, with a Retry-After that fits           once more after that time, then SearchFailed
5xx                                         once more, then SearchFailed
read timeout, cut or over-long body         SearchFailed: the vendor may have counted it
any other status, redirects, no JSON        SearchFailed
over the budget of the whole search         SearchFailed

A cause names the back end and the kind of failure, never the key, the query or what the vendor said.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from gateway.domain.errors import SearchFailed

SecretSource = Callable[[], str]
"""Gives a vendor's key when it is needed; it may block, and raises SearchFailed if the key can't be had."""

MAX_BODY_BYTES = 2_000_000
CONNECT_TIMEOUT_S = 2.0
RETRY_PAUSE_S = 0.2
LONGEST_RETRY_AFTER_S = 2.0
FRESHNESS = ((1, "day"), (7, "week"), (31, "month"), (365, "year"))


class _TransientError(Exception):
    """A failure worth one more try, after a pause."""

    def __init__(self, cause: str, *, pause_s: float = RETRY_PAUSE_S) -> None:
        super().__init__(cause)
        self.pause_s = pause_s


class VendorClient:
    """What the back ends over HTTP share: one client, one budget, one table of failures.

    `budget_s` bounds a whole search, both tries and the pause between them included. Belongs to the event loop of its
    first request.
    """

    def __init__(self, name: str, *, base_url: str, budget_s: float, key: SecretSource | None = None) -> None:
        self._name = name
        self._base_url = base_url.rstrip("/")
        self._budget_s = budget_s
        self._key = key
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. A later request opens new ones."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def secret(self) -> str:
        """The vendor's key, read off the event loop: the first read may be a call to a secret store."""
        key = (await asyncio.to_thread(self._key)).strip() if self._key is not None else ""
        if not key or not key.isascii() or not key.isprintable():
            raise SearchFailed(f"{self._name}: no usable key is configured")
        return key

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        headers: Callable[[str], Mapping[str, str]] | None = None,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The JSON object that the vendor answers; `headers` makes those that carry the key. Raises SearchFailed."""
        try:
            async with asyncio.timeout(self._budget_s):
                sent = dict(headers(await self.secret())) if headers is not None else {}
                client = await self._connected()
                request = client.build_request(
                    method, f"{self._base_url}{path}", params=params, json=body, headers=sent
                )
                try:
                    return await self._once(client, request)
                except _TransientError as failure:
                    await asyncio.sleep(failure.pause_s)
                return await self._once(client, request)
        except _TransientError as failure:
            raise SearchFailed(f"{self._name}: {failure}") from None
        except TimeoutError:
            raise SearchFailed(f"{self._name}: no answer within {self._budget_s:g} s") from None

    async def _connected(self) -> httpx.AsyncClient:
        # Making one reads the CA certificates: 60 to 300 ms, which the streams of other answers must not wait for.
        return self._client or self._adopt(await asyncio.to_thread(self._new_client))

    def _adopt(self, client: httpx.AsyncClient) -> httpx.AsyncClient:
        """Keep the client, unless another search was first to make one."""
        self._client = self._client or client
        return self._client

    def _new_client(self) -> httpx.AsyncClient:
        # httpx logs each URL at INFO, and the URL of a search is the user's question.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        return httpx.AsyncClient(
            timeout=httpx.Timeout(self._budget_s, connect=min(CONNECT_TIMEOUT_S, self._budget_s)),
            # A kept connection may have died while Lambda was frozen, and that shows only as a read timeout, which is
            # not tried again. A handshake for each search costs less than one such search.
            limits=httpx.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            headers={
                "Accept": "application/json",
                # Compressed, a small body could unfold to more memory than we have before it is counted.
                "Accept-Encoding": "identity",
                "User-Agent": "studiolm-gateway",
            },
        )

    async def _once(self, client: httpx.AsyncClient, request: httpx.Request) -> dict[str, Any]:
        try:
            response = await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise _TransientError("no connection") from None
        except httpx.TransportError as error:
            raise SearchFailed(f"{self._name}: {type(error).__name__} before the answer") from None
        try:
            self._judge(response)
            return self._parsed(await self._bounded(response))
        except httpx.TransportError as error:
            raise SearchFailed(f"{self._name}: {type(error).__name__} in the answer") from None
        finally:
            await response.aclose()

    def _judge(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 429:
            pause_s = _retry_after_s(response.headers.get("Retry-After"))
            if pause_s is None:
                raise SearchFailed(f"{self._name}: over its rate limit")
            raise _TransientError("over its rate limit", pause_s=pause_s)
        if status >= 500:
            raise _TransientError(f"status {status}")
        if status != 200:
            raise SearchFailed(f"{self._name}: status {status}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise SearchFailed(f"{self._name}: a compressed answer, which was not asked for")

    async def _bounded(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise SearchFailed(f"{self._name}: an answer of more than {MAX_BODY_BYTES} bytes")
        return bytes(body)

    def _parsed(self, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            raise SearchFailed(f"{self._name}: the answer is not JSON") from None
        if not isinstance(answer, dict):
            raise SearchFailed(f"{self._name}: the answer is not a JSON object")
        return answer


def _retry_after_s(header: str | None) -> float | None:
    """Seconds to wait: a default without the header, None where it is a date or too long to wait for."""
    if header is None:
        return RETRY_PAUSE_S
    seconds = float(header) if header.isascii() and header.isdigit() and len(header) < 4 else LONGEST_RETRY_AFTER_S + 1
    return seconds if seconds <= LONGEST_RETRY_AFTER_S else None


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, in order; none for what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def within(value: Any, name: str) -> Any:
    """`value[name]` where `value` is an object that has it, else None."""
    return value.get(name) if isinstance(value, dict) else None


def freshness_range(days: int | None) -> str | None:
    """The narrowest of day, week, month and year that holds so many days; None for more than a year, or any age."""
    return next((name for limit, name in FRESHNESS if days is not None and days <= limit), None)


def with_sites(query: str, domains: tuple[str, ...], *, max_characters: int, max_words: int) -> str:
    """The query with the operator that keeps an engine to these sites, inside a vendor's bounds.

    Sites that don't fit are left out: what the engine then finds elsewhere is dropped from its answer anyway.
    """
    words = query.split()
    sites: list[str] = []
    for domain in domains:
        longer = [*sites, f"site:{domain}"]
        if len(" OR ".join(longer)) > max_characters // 2 or 2 * len(longer) > max_words // 2:
            break
        sites = longer
    operator = f" ({' OR '.join(sites)})" if len(sites) > 1 else "".join(f" {site}" for site in sites)
    room = max_words - len(operator.split())
    return " ".join(words[:room])[: max_characters - len(operator)].rstrip() + operator
