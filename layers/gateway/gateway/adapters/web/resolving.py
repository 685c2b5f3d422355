"""Names to addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

from gateway.domain.addresses import IPAddress

Resolve = Callable[[str, int], Awaitable[Sequence[IPAddress]]]
"""All addresses of a host, best first. Raises OSError where there are none."""


async def resolve(host: str, port: int) -> Sequence[IPAddress]:
    """Asks the system, which reads the odd spellings of an address too (`0x7f.1`, `2130706433`, `0177.0.0.1`)."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except ValueError:  # a label that is empty or too long for IDNA, a NUL
        raise OSError("no such host") from None
    return [ip_address(sockaddr[0]) for *_, sockaddr in found]
