"""Fixtures that every kind of test uses."""

from __future__ import annotations

import pytest
from hypothesis import settings

# a busy machine is no failure of ours: speed is measured in benchmarks/
settings.register_profile("ours", deadline=None)
settings.load_profile("ours")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop that we run on."""
    return "asyncio"
