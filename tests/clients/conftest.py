"""One real stack for all clients, and nothing of the outside in their environment."""

from __future__ import annotations

import pytest

from tests.support.local_stack import LocalStack, stack

__all__ = ["stack"]


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients read their environment: nothing of it may reach a test."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "STUDIOLM_API_KEY", "STUDIOLM_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("LANGSMITH_TRACING", "false")


@pytest.fixture
def v1(stack: LocalStack) -> str:
    """The base URL as OpenAI's clients want it."""
    return f"{stack.base_url}/v1"
