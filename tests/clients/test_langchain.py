"""LangChain's `ChatOpenAI`, put through LangChain's own standard suite."""

from __future__ import annotations

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

PLAIN: dict[str, Any] = {"max_tokens": 64}
WRITES_JOKES: dict[str, Any] = {"max_tokens": 200, "frequency_penalty": 1.0}
"""Free strings inside JSON: greedy and without a penalty, a model of 135M parameters repeats itself in them until
`max_tokens`, which openai's parser takes for an error. With one, it miscopies the numbers that tool tests ask for."""
JOKE_TESTS = ("test_structured_output", "test_json_mode")


@pytest.fixture(scope="module", autouse=True)
async def one_loop(anyio_backend: str) -> None:
    """Keeps one event loop for the module: LangChain caches its async connections from test to test."""


class TestChatOpenAI(ChatModelIntegrationTests):
    """All of the suite but what it skips by itself for these features, which a small text model has not:

    image, PDF and audio inputs (`test_image_inputs`, `test_image_tool_message`, `test_pdf_inputs`,
    `test_pdf_tool_message`, `test_audio_inputs`), Anthropic's message format (`test_anthropic_inputs`), and the
    recorded benchmark (`test_stream_time`), for timings are measured in benchmarks/.
    """

    @pytest.fixture(autouse=True)
    def _point_at_the_stack(
        self, request: pytest.FixtureRequest, stack: LocalStack, v1: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", stack.api_key)
        monkeypatch.setenv("OPENAI_BASE_URL", v1)
        self._sampling = WRITES_JOKES if request.node.name.startswith(JOKE_TESTS) else PLAIN

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": MODEL, "temperature": 0, "stream_usage": True}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"timeout": 90, **self._sampling}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return MODEL
