"""LangChain's `ChatOpenAI`, put through LangChain's own standard suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from tests.support.local_stack import MODEL, LocalStack

pytestmark = [
    # the suite's coroutines carry no mark of their own for our runner
    pytest.mark.anyio,
    # LangChain stores the parsed object in a field that openai's model declares without a type
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),
    # what LangChain tells about Pydantic 1 models, before it does the right thing
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema:UserWarning"),
]


@pytest.fixture(scope="module", autouse=True)
async def one_loop(anyio_backend: str) -> AsyncIterator[None]:
    """Keeps one event loop for the module: LangChain caches its async connections from test to test."""
    yield


class TestChatOpenAI(ChatModelIntegrationTests):
    """What is not for a text model of 135M parameters is in `NOT_FOR_THIS_MODEL` of conftest.py, with its reason."""

    @pytest.fixture(autouse=True)
    def _point_at_the_stack(self, stack: LocalStack, v1: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", stack.api_key)
        monkeypatch.setenv("OPENAI_BASE_URL", v1)

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": MODEL, "temperature": 0, "frequency_penalty": 0.2, "stream_usage": True}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        # the suite's own stop strings and 100 tokens; a small model rambles up to any limit
        return {"max_tokens": 300, "timeout": 90}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return MODEL
