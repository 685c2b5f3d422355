"""Fixtures that every kind of test uses."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop that we run on."""
    return "asyncio"
