"""A service of AWS, called on the event loop: credentials, signature, a kept connection, one answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from pydantic_core import from_json

from gateway.adapters.aws.wire.connection import Answer
from gateway.adapters.aws.wire.credentials import CredentialSource
from gateway.adapters.aws.wire.endpoints import SERVICES, origin_of, url_of
from gateway.adapters.aws.wire.errors import AwsRefusal, ConnectionLost
from gateway.adapters.aws.wire.pool import Pool
from gateway.adapters.aws.wire.signing import Signer

USER_AGENT = "studiolm-gateway"


class WireClient:
    """Endpoint and region are the environment's at the time it is made; every event loop has connections of its own."""

    def __init__(
        self, service: str, environment: Mapping[str, str], *, region: str, credentials: CredentialSource, limit: int
    ) -> None:
        called = SERVICES[service]
        self._origin, self._host, self._base_path = origin_of(url_of(called, environment, region), environment)
        self._signer = Signer(service=called.signing_name, region=region)
        self._credentials = credentials
        self._limit = limit
        self._pools: dict[asyncio.AbstractEventLoop, tuple[Pool, AsyncGenerator[None, None]]] = {}
        self._lock = threading.Lock()

    async def post(
        self,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeout_s: float,
        repeatable: bool,
        seen_through: bool = False,
    ) -> Answer:
        """The answer's status and headers are there; its body comes by itself. Whoever asked closes it.

        Once the request is out, an answer that is `seen_through` is waited for by a cancelled caller too (`Answer`).

        A kept connection may turn out to be dead by the request that was put on it. Where nothing of an answer has
        come, the request is sent once more on a new one: always if it is `repeatable`, else only if it had not left
        whole, so that nobody can have acted on it. Raises TransportFailed.
        """
        credentials = await self._credentials.now()
        path = self._base_path + path
        signed = self._signer.sign(
            credentials,
            method="POST",
            path=path,
            headers={"host": self._host, **headers},
            body=body,
            now_s=time.time(),
        )
        told = {**signed, "user-agent": USER_AGENT, "content-length": str(len(body))}
        head = "".join([f"{name}: {value}\r\n" for name, value in told.items()])
        request = f"POST {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body
        pool = await self._pool()
        connection, used_before = await pool.take()
        try:
            return await _opened(connection.ask(request, seen_through=seen_through), timeout_s)
        except ConnectionLost as lost:
            if lost.heard or not used_before or (lost.taken and not repeatable):
                raise
        connection = await pool.take_new()
        return await _opened(connection.ask(request, seen_through=seen_through), timeout_s)

    @property
    def working(self) -> int:
        """Connections at work on all event loops."""
        return sum(pool.working for pool, _ in self._pools.values())

    def close(self) -> None:
        """Ends the connections, one that is at work as soon as it has done."""
        for loop, (pool, _) in list(self._pools.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(pool.retire)

    async def _pool(self) -> Pool:
        loop = asyncio.get_running_loop()
        found = self._pools.get(loop)
        if found is None:
            pool = Pool(self._origin, limit=self._limit)
            keeper = self._close_with_its_loop(loop, pool)
            await anext(keeper)
            with self._lock:
                found = self._pools.setdefault(loop, (pool, keeper))
        return found[0]

    async def _close_with_its_loop(self, loop: asyncio.AbstractEventLoop, pool: Pool) -> AsyncGenerator[None, None]:
        """A loop that ends closes its asynchronous generators (`asyncio.run`), and so its connections, in good time."""
        try:
            yield
        finally:
            with self._lock:
                self._pools.pop(loop, None)
            pool.close()
            await asyncio.sleep(0)  # a closed transport lets go of its socket in the loop's next turn


async def _opened(answer: Answer, timeout_s: float) -> Answer:
    try:
        await answer.opened(timeout_s=timeout_s)
    except BaseException:
        answer.close()
        raise
    return answer


async def read_refusal(answer: Answer, operation: str, *, most_bytes: int, timeout_s: float) -> AwsRefusal:
    """The error in an answer of AWS's JSON protocols. Raises TransportFailed where it does not come."""
    body = await answer.whole(most_bytes=most_bytes, timeout_s=timeout_s)
    fields: Any
    try:
        fields = from_json(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        fields = {}
    named = answer.headers.get(b"x-amzn-errortype", b"").decode("latin-1") or str(fields.get("__type", ""))
    # `com.amazonaws.dynamodb.v20120810#Code`, `Code:http://…`
    code = named.partition(":")[0].rpartition("#")[2]
    message = str(fields.get("message") or fields.get("Message") or "")
    return AwsRefusal(code, message, status=answer.status, operation=operation, fields=fields)
