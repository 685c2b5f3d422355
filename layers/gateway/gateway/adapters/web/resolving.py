"""Names to addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from ipaddress import ip_address

from gateway.domain.addresses import IPAddress

Resolve = Callable[[str, int], Awaitable[Sequence[IPAddress]]]
"""All addresses of a host, best first. Raises OSError where there are none."""

_MOST_AT_ONCE = 8


async def resolve(host: str, port: int) -> Sequence[IPAddress]:
    """Asks the system, which reads the odd spellings of an address too (`0x7f.1`, `2130706433`, `0177.0.0.1`)."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(_threads(), _look_up, host, port)
    except ValueError:  # a label that is empty or too long for IDNA, a NUL
        raise OSError("no such host") from None


def _look_up(host: str, port: int) -> Sequence[IPAddress]:
    return [ip_address(sockaddr[0]) for *_, sockaddr in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@cache
def _threads() -> ThreadPoolExecutor:
    """Threads for look-ups alone. One can't be ended: a name server that a stranger lets be silent holds its thread for
    half a minute, and of the event loop's own threads it would soon hold all."""
    return ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="resolve")
