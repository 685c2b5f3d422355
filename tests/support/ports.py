"""Ports for servers that are yet to be started."""

from __future__ import annotations

import socket
import threading
from random import Random

_lock = threading.Lock()
_left = iter(Random().sample(range(10_000, 32_768), 20_000))


def free_port() -> int:
    """A port on which nobody listens, never the same twice.

    It is below those that kernels give out by themselves: one of these may be a connection's or another server's by
    the time that its process binds it, and whoever asks that process is then answered by a stranger.
    """
    with _lock:
        for port in _left:
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")
