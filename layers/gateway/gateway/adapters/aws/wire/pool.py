"""Connections to one host on one event loop: kept while they are good, bounded, handed out in turn."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gateway.adapters.aws.wire.connection import Connection
from gateway.adapters.aws.wire.errors import TransportFailed

CONNECT_TIMEOUT_S = 3.0
TURN_TIMEOUT_S = 30.0
"""How long a request waits for another's connection: past it the other side is not slow but gone."""
KEPT_S = 20.0
"""An idle connection is used again within this time. AWS's front ends close idle ones after a minute or more, and a
process that was frozen between two requests must not trust what it holds for long."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where connections go; `tls` is None for plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None


async def connect(origin: Origin, connection: Connection) -> None:
    """Opens `connection` to `origin`. Raises TransportFailed."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await loop.create_connection(
                lambda: connection,
                origin.host,
                origin.port,
                ssl=origin.tls,
                server_hostname=origin.host if origin.tls else None,
            )
    except TimeoutError:
        raise TransportFailed("no connection in time") from None
    except OSError as error:  # refused, unreachable, no such name, and TLS's own
        raise TransportFailed(f"no connection: {error}") from None


class Pool:
    """At most `limit` connections at work; who comes when all are waits, first come first served."""

    def __init__(self, origin: Origin, *, limit: int, now_s: Callable[[], float] = time.time) -> None:
        self._origin = origin
        self._limit = limit
        self._now_s = now_s
        self._keeps = True
        self._turns = 0
        self._working: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def working(self) -> int:
        """Connections that a request has, or that are being opened for one."""
        return self._turns

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    async def take(self) -> tuple[Connection, bool]:
        """A connection, and whether it was used before. Raises TransportFailed."""
        await self._take_turn()
        # the one used last is the likeliest to be alive; the others grow old and go
        while self._idle:
            connection = self._idle.pop()
            if self._is_good(connection):
                self._working.add(connection)
                return connection, True
            connection.abort()
        return await self._open(), False

    async def take_new(self) -> Connection:
        """A new connection: one that was kept has just failed, and those kept beside it are no better.

        Raises TransportFailed.
        """
        self._drop_idle()
        await self._take_turn()
        return await self._open()

    def retire(self) -> None:
        """Ends the idle connections, and keeps none from now on."""
        self._keeps = False
        self._drop_idle()

    def close(self) -> None:
        """Ends every connection, at work or idle."""
        self._drop_idle()
        for connection in list(self._working):
            connection.abort()

    def _is_good(self, connection: Connection) -> bool:
        # by the wall clock: a monotonic one may stand still while a process is frozen
        return abs(self._now_s() - connection.free_since_s) < KEPT_S and connection.is_alive()

    async def _open(self) -> Connection:
        connection = Connection(on_free=self._free, on_lost=self._lose)
        self._working.add(connection)
        try:
            await connect(self._origin, connection)
        except BaseException:
            self._lose(connection)
            raise
        return connection

    async def _take_turn(self) -> None:
        if self._turns < self._limit:
            self._turns += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(TURN_TIMEOUT_S):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._give_turn()  # it came while its taker was leaving
            if isinstance(error, TimeoutError):
                raise TransportFailed("all connections are at work") from None
            raise

    def _give_turn(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._turns -= 1

    def _free(self, connection: Connection) -> None:
        if not self._keeps:
            connection.abort()
            return
        connection.free_since_s = self._now_s()
        self._working.discard(connection)
        self._idle.append(connection)
        self._give_turn()

    def _lose(self, connection: Connection) -> None:
        if connection in self._working:
            self._working.discard(connection)
            self._give_turn()
        elif connection in self._idle:
            self._idle.remove(connection)

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().abort()
