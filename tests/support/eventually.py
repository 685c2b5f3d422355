"""Waiting for what another thread does."""

from __future__ import annotations

import time
from collections.abc import Callable

_PATIENCE_S = 60


def eventually(condition: Callable[[], bool], *, patience_s: float = _PATIENCE_S) -> bool:
    """Whether the condition comes true within the patience of a test."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
